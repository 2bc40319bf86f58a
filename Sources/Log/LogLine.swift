// SPDX-License-Identifier: Apache-2.0
import Ledger
import Reactor
import TLS

/// Writes access records and events as lines, into memory that is used again and again.
///
/// Whatever came from a peer is escaped, so that nobody can write a line of their own.
struct LogLines: ~Copyable {
    let format: LogWriter.Format
    /// Whether events begin with `<N>`, their level for a service manager that reads the lines
    /// (sd-daemon(3)).
    var hasPrefix = false
    var buffer = LineBuffer()
    private var time = Timestamp()
    private var began = Timestamp()

    init(_ format: LogWriter.Format) { self.format = format }

    /// Writes the line of a record.
    mutating func append(_ record: AccessRecord) {
        if format == .json {
            appendJSON(record)
        } else {
            time.append(record.happenedWallMilliseconds, to: &buffer)
            buffer.append(" ")
            Self.appendText(record, to: &buffer)
            if record.kind == .ended {
                buffer.append(" began=")
                began.append(record.acceptedWallMilliseconds, to: &buffer)
            }
        }
        buffer.append("\n")
    }

    /// Writes the line of an event.
    mutating func append(_ event: LogEvent) {
        if hasPrefix {
            buffer.append("<")
            buffer.append(UInt64(event.level.priority))
            buffer.append(">")
        }
        let now = Clock.wallMilliseconds()
        if format == .json {
            buffer.append("{\"time\":\"")
            time.append(now, to: &buffer)
            buffer.append("\",\"level\":\"")
            buffer.append(string: event.level.rawValue)
            buffer.append("\",\"message\":\"")
            buffer.append(event.sentence, as: .json)
            buffer.append("\"}\n")
        } else {
            time.append(now, to: &buffer)
            buffer.append(" ")
            buffer.append(string: event.level.rawValue)
            buffer.append(": ")
            buffer.append(event.sentence, as: .sentence)
            buffer.append("\n")
        }
    }

    /// What a line for people says behind its time.
    static func appendText(_ record: AccessRecord, to line: inout LineBuffer) {
        line.append(record.client)
        if record.status == 0 {
            line.append(" - ")
        } else {
            line.append(" ")
            line.append(UInt64(clamping: record.status))
            line.append(" ")
        }
        if !record.method.isEmpty {
            line.append(record.method, as: .word)
            line.append(" ")
        }
        if record.host.isEmpty { line.append("-") } else { line.append(record.host, as: .word) }
        line.append(record.path, as: .word)
        if !record.upstream.isEmpty {
            line.append(" -> ")
            line.append(string: record.upstream)
        }
        if !record.route.isEmpty {
            line.append(" route=")
            line.append(string: record.route)
        }
        if let tls = record.tls {
            line.append(" tls=")
            line.append(tls.version.text)
            if record.isHTTP2 { line.append(" protocol=h2") }
        }
        if !record.otherUpgrade.isEmpty {
            line.append(" upgrade=")
            line.append(record.otherUpgrade, as: .word)
        }
        if !record.user.isEmpty {
            line.append(" user=")
            line.append(record.user, as: .word)
        }
        if let relay = record.relay {
            line.append(" relay=")
            line.append(relay)
        }
        if !record.relayName.isNone {
            line.append(" name=")
            line.append(string: record.relayName.description)
        }
        if !record.traceName.isEmpty {
            line.append(" trace=")
            line.append(string: record.traceName)
        }
        if record.kind == .opened { line.append(" opened") }
        if record.kind == .ended { appendEnd(record, to: &line) }
        if !record.method.isEmpty {
            line.append(" up=")
            line.append(record.up.payloadBytes)
            line.append("B down=")
            line.append(record.down.payloadBytes)
            line.append("B")
        }
        line.append(" ")
        line.append(record.durationMilliseconds)
        line.append("ms")
        if record.proxyError != nil {
            line.append(" error=")
            line.append(string: record.errorName)
        }
        if !record.accessRule.isEmpty {
            line.append(" access=")
            line.append(string: record.accessRule)
        }
        if !record.faults.isEmpty {
            line.append(" fault=")
            line.append(string: record.faults.words)
        }
        if !record.detail.isEmpty {
            line.append(" detail=\"")
            line.append(record.detail, as: .sentence)
            line.append("\"")
        }
    }

    private static func appendEnd(_ record: AccessRecord, to line: inout LineBuffer) {
        line.append(" up=")
        line.append(record.up.messages)
        line.append("msg/")
        line.append(record.up.bytes)
        line.append("B down=")
        line.append(record.down.messages)
        line.append("msg/")
        line.append(record.down.bytes)
        line.append("B")
        if record.clientRoundTrip.count > 0 {
            line.append(" rtt=")
            append(record.clientRoundTrip, to: &line)
        }
        if record.upstreamRoundTrip.count > 0 {
            line.append(" upstream-rtt=")
            append(record.upstreamRoundTrip, to: &line)
        }
        line.append(" close=")
        line.append(UInt64(record.closeCode))
        line.append(" by=")
        line.append(record.initiator.word)
        line.append(" reason=")
        line.append(record.reasonWord)
    }

    private static func append(_ trip: RoundTrip, to line: inout LineBuffer) {
        line.append(UInt64(trip.lastMicroseconds))
        line.append("us,max=")
        line.append(UInt64(trip.maximumMicroseconds))
        line.append("us")
    }

    // MARK: JSON

    private mutating func appendJSON(_ record: AccessRecord) {
        buffer.append("{\"time\":\"")
        time.append(record.happenedWallMilliseconds, to: &buffer)
        buffer.append("\",\"began\":\"")
        began.append(record.acceptedWallMilliseconds, to: &buffer)
        buffer.append("\",\"event\":\"")
        buffer.append(record.kind.word)
        buffer.append("\",\"milliseconds\":")
        buffer.append(record.durationMilliseconds)
        buffer.append(",\"client\":\"")
        buffer.append(record.client)
        buffer.append("\",\"listener\":\"")
        buffer.append(record.listener)
        if let relay = record.relay {
            buffer.append("\",\"relay\":\"")
            buffer.append(relay)
        }
        if !record.relayName.isNone {
            buffer.append("\",\"relayName\":\"")
            buffer.append(string: record.relayName.description)
        }
        if !record.traceName.isEmpty {
            buffer.append("\",\"traceId\":\"")
            buffer.append(string: record.traceName)
        }
        buffer.append("\"")
        if let tls = record.tls {
            buffer.append(",\"tls\":{\"version\":\"")
            buffer.append(tls.version.text)
            buffer.append("\"")
            member(",\"cipher\":\"", tls.cipherName)
            if let name = tls.serverName { member(",\"serverName\":\"", name) }
            buffer.append(tls.isResumed ? ",\"resumed\":true}" : ",\"resumed\":false}")
            if record.isHTTP2 { buffer.append(",\"protocol\":\"h2\"") }
        }
        member(",\"method\":\"", record.method)
        member(",\"host\":\"", record.host)
        member(",\"path\":\"", record.path)
        if !record.otherUpgrade.isEmpty { member(",\"upgrade\":\"", record.otherUpgrade) }
        if !record.user.isEmpty { member(",\"user\":\"", record.user) }
        member(",\"route\":\"", record.route)
        member(",\"upstream\":\"", record.upstream)
        buffer.append(",\"status\":")
        buffer.append(UInt64(clamping: record.status))
        member(",\"error\":\"", record.errorName)
        if !record.accessRule.isEmpty { member(",\"access\":\"", record.accessRule) }
        if !record.faults.isEmpty { member(",\"fault\":\"", record.faults.words) }
        member(",\"detail\":\"", record.detail)
        member(",\"up\":{\"frames\":", record.up)
        member(",\"down\":{\"frames\":", record.down)
        member(",\"clientRoundTrip\":{\"pings\":", record.clientRoundTrip)
        member(",\"upstreamRoundTrip\":{\"pings\":", record.upstreamRoundTrip)
        // How it ends, an opening does not know.
        if record.kind == .opened {
            buffer.append("}")
            return
        }
        buffer.append(",\"closeCode\":")
        buffer.append(UInt64(record.closeCode))
        buffer.append(",\"endedBy\":\"")
        buffer.append(record.initiator.word)
        buffer.append("\",\"reason\":\"")
        buffer.append(record.reasonWord)
        buffer.append("\"}")
    }

    private mutating func member(_ start: StaticString, _ text: String) {
        buffer.append(start)
        if !text.isEmpty { buffer.append(text, as: .json) }
        buffer.append("\"")
    }

    private mutating func member(_ start: StaticString, _ counts: DirectionCounts) {
        buffer.append(start)
        buffer.append(counts.frames)
        buffer.append(",\"messages\":")
        buffer.append(counts.messages)
        buffer.append(",\"payloadBytes\":")
        buffer.append(counts.payloadBytes)
        buffer.append(",\"bytes\":")
        buffer.append(counts.bytes)
        buffer.append("}")
    }

    /// There is none where no Ping was answered.
    private mutating func member(_ start: StaticString, _ trip: RoundTrip) {
        if trip.count == 0 { return }
        buffer.append(start)
        buffer.append(UInt64(trip.count))
        buffer.append(",\"lastMicroseconds\":")
        buffer.append(UInt64(trip.lastMicroseconds))
        buffer.append(",\"maximumMicroseconds\":")
        buffer.append(UInt64(trip.maximumMicroseconds))
        buffer.append("}")
    }
}

/// Writes times; the seconds of the last one are kept as text.
struct Timestamp {
    private var second = UInt64.max
    /// `2023-11-14T22:13:20.` of that second.
    private var text: (UInt64, UInt64, UInt32) = (0, 0, 0)

    /// Writes UTC with milliseconds (RFC 3339).
    mutating func append(_ milliseconds: UInt64, to line: inout LineBuffer) {
        let (second, rest) = milliseconds.quotientAndRemainder(dividingBy: 1_000)
        if second == self.second {
            withUnsafeBytes(of: text) { bytes in
                line.append(
                    UnsafeBufferPointer(rebasing: bytes.assumingMemoryBound(to: UInt8.self)[..<20]))
            }
        } else {
            let start = line.count
            Self.append(second: second, to: &line)
            withUnsafeMutableBytes(of: &text) { bytes in
                bytes.copyMemory(from: UnsafeRawBufferPointer(rebasing: line.bytes[start...]))
            }
            self.second = second
        }
        line.append(rest, digits: 3)
        line.append("Z")
    }

    /// Writes a time up to the point behind its seconds: 20 bytes until the year 9999.
    private static func append(second: UInt64, to line: inout LineBuffer) {
        // Days to a date in the Gregorian calendar, by eras of 400 years that begin in March.
        let days = min(second / 86_400, 2_932_896) + 719_468
        let dayOfEra = days % 146_097
        let yearOfEra =
            (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shifted = (5 * dayOfYear + 2) / 153
        let month = shifted < 10 ? shifted + 3 : shifted - 9
        line.append(days / 146_097 * 400 + yearOfEra + (month <= 2 ? 1 : 0), digits: 4)
        line.append("-")
        line.append(month, digits: 2)
        line.append("-")
        line.append(dayOfYear - (153 * shifted + 2) / 5 + 1, digits: 2)
        line.append("T")
        line.append(second / 3_600 % 24, digits: 2)
        line.append(":")
        line.append(second / 60 % 60, digits: 2)
        line.append(":")
        line.append(second % 60, digits: 2)
        line.append(".")
    }
}
