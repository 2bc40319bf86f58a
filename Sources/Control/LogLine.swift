// SPDX-License-Identifier: Apache-2.0
import Foundation
import Frontend
import Reactor
import Splice
import TLS

/// Access records and events as lines.
///
/// Whatever came from a peer is escaped, so that nobody can write a line of their own.
enum LogLine {
    static func access(_ record: AccessRecord, _ format: LogWriter.Format) -> String {
        format == .json ? json(AccessLine(record)) : text(record)
    }

    static func event(_ event: LogEvent, _ format: LogWriter.Format) -> String {
        let time = timestamp(Clock.wallMilliseconds())
        if format == .json {
            return json(
                EventLine(time: time, level: event.level.rawValue, message: event.sentence))
        }
        return "\(time) \(event.level.rawValue): \(escaped(event.sentence))"
    }

    private static func text(_ record: AccessRecord) -> String {
        let line = AccessLine(record)
        var parts = [
            line.time, line.client, line.status == 0 ? "-" : String(line.status),
            (line.method.isEmpty ? "" : escaped(line.method, isWord: true) + " ")
                + escaped(line.host.isEmpty ? "-" : line.host, isWord: true)
                + escaped(line.path, isWord: true),
        ]
        if !line.upstream.isEmpty { parts.append("-> \(line.upstream)") }
        if !line.route.isEmpty { parts.append("route=\(line.route)") }
        if let tls = line.tls { parts.append("tls=\(tls.version)") }
        if record.status == 101 {
            parts.append("up=\(line.up.messages)msg/\(line.up.bytes)B")
            parts.append("down=\(line.down.messages)msg/\(line.down.bytes)B")
            if let trip = line.clientRoundTrip { parts.append("rtt=\(trip.text)") }
            if let trip = line.upstreamRoundTrip { parts.append("upstream-rtt=\(trip.text)") }
            parts.append("close=\(line.closeCode) by=\(line.endedBy) reason=\(line.reason)")
        }
        if !line.method.isEmpty {
            parts.append("up=\(line.up.payloadBytes)B down=\(line.down.payloadBytes)B")
        }
        parts.append("\(line.milliseconds)ms")
        if !line.error.isEmpty { parts.append("error=\(line.error)") }
        if !line.detail.isEmpty { parts.append("detail=\"\(escaped(line.detail))\"") }
        return parts.joined(separator: " ")
    }

    private static func json(_ line: some Encodable) -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        guard let data = try? encoder.encode(line) else { return "{}" }
        return String(decoding: data, as: UTF8.self)
    }

    /// UTC with milliseconds (RFC 3339).
    static func timestamp(_ milliseconds: UInt64) -> String {
        var seconds = time_t(milliseconds / 1000)
        var parts = tm()
        gmtime_r(&seconds, &parts)
        var text = [CChar](repeating: 0, count: 32)
        let count = strftime(&text, text.count, "%Y-%m-%dT%H:%M:%S", &parts)
        let fraction = String(1000 + milliseconds % 1000).dropFirst()
        let bytes = text.prefix(count).map(UInt8.init(bitPattern:))
        return String(decoding: bytes, as: UTF8.self) + "." + fraction + "Z"
    }

    /// Text without anything that would begin a line, end a quotation or talk to a terminal; a word
    /// among words has no spaces either.
    private static func escaped(_ text: String, isWord: Bool = false) -> String {
        func isPlain(_ scalar: Unicode.Scalar) -> Bool {
            switch scalar.value {
            // Control characters, of Latin-1 too, and what Unicode takes for ends of lines.
            case 0..<0x20, 0x7F..<0xA0, 0x2028, 0x2029: false
            case 0x22, 0x5C: false
            case 0x20: !isWord
            default: true
            }
        }
        if text.unicodeScalars.allSatisfy(isPlain) { return text }
        return text.unicodeScalars.reduce(into: "") { result, scalar in
            if isPlain(scalar) {
                result.unicodeScalars.append(scalar)
            } else if scalar.value < 0x100 {
                let hex = String(scalar.value, radix: 16)
                result += "\\x" + (hex.count < 2 ? "0" + hex : hex)
            } else {
                result += "\\u{" + String(scalar.value, radix: 16) + "}"
            }
        }
    }
}

/// One event as JSON.
private struct EventLine: Encodable {
    let time: String
    let level: String
    let message: String
}

/// One ended connection as JSON, and the material of its text line.
struct AccessLine: Encodable {
    struct TLS: Encodable {
        let version: String
        let cipher: String
        let serverName: String?
        let resumed: Bool
    }
    struct Direction: Encodable {
        let frames: UInt64
        let messages: UInt64
        let payloadBytes: UInt64
        let bytes: UInt64
    }

    /// How long Pings took to be answered; there is none where none was.
    struct Trip: Encodable {
        let pings: UInt32
        let lastMicroseconds: UInt32
        let maximumMicroseconds: UInt32

        init?(_ trip: RoundTrip) {
            if trip.count == 0 { return nil }
            pings = trip.count
            lastMicroseconds = trip.lastMicroseconds
            maximumMicroseconds = trip.maximumMicroseconds
        }

        /// The last and the longest.
        var text: String { "\(lastMicroseconds)us,max=\(maximumMicroseconds)us" }
    }

    let time: String
    let milliseconds: UInt64
    let client: String
    let listener: String
    let tls: TLS?
    let method: String
    let host: String
    let path: String
    let route: String
    let upstream: String
    let status: Int
    let error: String
    let detail: String
    let up: Direction
    let down: Direction
    let clientRoundTrip: Trip?
    let upstreamRoundTrip: Trip?
    let closeCode: UInt16
    let endedBy: String
    let reason: String

    init(_ record: AccessRecord) {
        time = LogLine.timestamp(record.acceptedWallMilliseconds)
        milliseconds = record.durationMilliseconds
        client = record.client.peerDescription
        listener = record.listener.description
        tls = record.tls.map {
            TLS(
                version: $0.version.description, cipher: $0.cipherName,
                serverName: $0.serverName, resumed: $0.isResumed)
        }
        method = record.method
        host = record.host
        path = record.path
        route = record.route
        upstream = record.upstream
        status = record.status
        error = record.proxyError
        detail = record.detail
        up = Self.direction(record.up)
        down = Self.direction(record.down)
        clientRoundTrip = Trip(record.clientRoundTrip)
        upstreamRoundTrip = Trip(record.upstreamRoundTrip)
        closeCode = record.closeCode
        endedBy = Self.name(record.initiator)
        let isRefusal = record.reason == .none && !record.proxyError.isEmpty
        reason = isRefusal ? "refused" : Self.name(record.reason)
    }

    private static func direction(_ counts: DirectionCounts) -> Direction {
        Direction(
            frames: counts.frames, messages: counts.messages, payloadBytes: counts.payloadBytes,
            bytes: counts.bytes)
    }

    private static func name(_ initiator: Initiator) -> String {
        switch initiator {
        case .none: "nobody"
        case .client: "client"
        case .upstream: "upstream"
        case .sluice: "sluice"
        }
    }

    private static func name(_ reason: EndReason) -> String {
        switch reason {
        case .none: "cut"
        case .close: "close"
        case .vanished: "vanished"
        case .violation: "violation"
        case .drain: "drain"
        case .unresponsive: "unresponsive"
        case .idle: "idle"
        case .lifetime: "lifetime"
        case .answered: "answered"
        }
    }
}
