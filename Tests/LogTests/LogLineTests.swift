// SPDX-License-Identifier: Apache-2.0
import Foundation
import Ledger
import Reactor
import Testing
import Wire

@testable import Log
@testable import TLS

/// Lines of the log: what stands in them, and what nobody gets into them.
struct LogLineTests {
    private static func record() -> AccessRecord {
        var record = AccessRecord(
            client: .ipv4(192, 0, 2, 7, port: 50_000), listener: .loopback(port: 8443))
        record.kind = .ended
        record.relay = RelayID("1-23-4")
        record.acceptedWallMilliseconds = 1_700_000_000_042
        record.durationMilliseconds = 1_234
        record.host = "a.example"
        record.path = "/chat/room"
        record.route = "a.example/chat/*"
        record.upstream = "ws://127.0.0.1:9000"
        record.status = 101
        record.up.frames = 3
        record.up.messages = 2
        record.up.payloadBytes = 20
        record.up.bytes = 40
        record.down.messages = 5
        record.down.bytes = 500
        record.closeCode = 1000
        record.initiator = .client
        record.reason = .close
        return record
    }

    private func access(_ record: AccessRecord, _ format: LogWriter.Format) -> String {
        var lines = LogLines(format)
        lines.append(record)
        return Self.line(lines.buffer)
    }

    private func event(_ event: LogEvent, _ format: LogWriter.Format) -> String {
        var lines = LogLines(format)
        lines.append(event)
        return Self.line(lines.buffer)
    }

    /// The only line of a buffer, without its end.
    private static func line(_ buffer: borrowing LineBuffer) -> String {
        let text = String(decoding: buffer.bytes, as: UTF8.self)
        #expect(text.last == "\n")
        return String(text.dropLast())
    }

    private func object(_ line: String) throws -> [String: Any] {
        try #require(
            try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
    }

    @Test func `an access line in text`() {
        #expect(
            access(Self.record(), .text)
                == "2023-11-14T22:13:21.276Z 192.0.2.7:50000 101 a.example/chat/room"
                + " -> ws://127.0.0.1:9000 route=a.example/chat/* relay=1-23-4 up=2msg/40B down=5msg/500B"
                + " close=1000 by=client reason=close 1234ms began=2023-11-14T22:13:20.042Z")
    }

    @Test func `the line of a relay that has opened`() throws {
        var record = Self.record()
        record.kind = .opened
        record.tls = TLSFacts(
            version: .tls13, cipher: 0x1301, serverName: "a.example", applicationProtocol: nil,
            isResumed: true)
        #expect(
            access(record, .text)
                == "2023-11-14T22:13:21.276Z 192.0.2.7:50000 101 a.example/chat/room"
                + " -> ws://127.0.0.1:9000 route=a.example/chat/* tls=TLSv1.3 relay=1-23-4 opened"
                + " 1234ms")
        let object = try object(access(record, .json))
        #expect(object["event"] as? String == "open")
        #expect(object["relay"] as? String == "1-23-4")
        let tls = try #require(object["tls"] as? [String: Any])
        #expect(tls["version"] as? String == "TLSv1.3")
        #expect(tls["cipher"] as? String == "TLS_AES_128_GCM_SHA256")
        #expect(tls["serverName"] as? String == "a.example")
        #expect(tls["resumed"] as? Bool == true)
    }

    @Test func `a line names its trace, where there is one`() throws {
        var record = Self.record()
        #expect(!access(record, .text).contains("trace="))
        #expect(try object(access(record, .json))["traceId"] == nil)
        record.trace = TraceID(high: 0x4bf9_2f35_77b3_4da6, low: 7)
        let name = "4bf92f3577b34da60000000000000007"
        #expect(access(record, .text).contains(" relay=1-23-4 trace=\(name) up="))
        #expect(try object(access(record, .json))["traceId"] as? String == name)
        record.relay = nil
        #expect(access(record, .text).contains(" route=a.example/chat/* trace=\(name) up="))
        #expect(try object(access(record, .json))["traceId"] as? String == name)
    }

    @Test func `a line has the name of its relay, where that has one`() throws {
        var record = Self.record()
        #expect(!access(record, .text).contains("name="))
        #expect(try object(access(record, .json))["relayName"] == nil)
        record.relayName = RelayName(bits: 0x3f9c)
        #expect(access(record, .text).contains(" relay=1-23-4 name=0000000000003f9c up="))
        #expect(try object(access(record, .json))["relayName"] as? String == "0000000000003f9c")
        #expect(try object(access(record, .json))["relay"] as? String == "1-23-4")
    }

    @Test func `round trips are there where a Ping was answered`() throws {
        var record = Self.record()
        #expect(!access(record, .text).contains("rtt="))
        #expect(try object(access(record, .json))["clientRoundTrip"] == nil)
        record.clientRoundTrip.count = 2
        record.clientRoundTrip.lastMicroseconds = 30
        record.clientRoundTrip.maximumMicroseconds = 4_000_000_000
        #expect(access(record, .text).contains(" rtt=30us,max=4000000000us close="))
        let trip = try object(access(record, .json))["clientRoundTrip"] as? [String: Int]
        #expect(
            trip == ["pings": 2, "lastMicroseconds": 30, "maximumMicroseconds": 4_000_000_000])
    }

    @Test func `an access line in text of a refusal`() {
        var record = AccessRecord(
            client: .loopback(port: 1, isIPv6: true), listener: .loopback(port: 8443))
        record.acceptedWallMilliseconds = 1_700_000_000_000
        record.status = 404
        record.path = "/x"
        record.proxyError = .destinationNotFound
        record.detail = "No route serves /x on host ."
        #expect(
            access(record, .text)
                == "2023-11-14T22:13:20.000Z [::1]:1 404 -/x 0ms error=destination_not_found"
                + " detail=\"No route serves /x on host .\"")
        record.status = 0
        #expect(access(record, .text).contains(" [::1]:1 - -/x "))
    }

    @Test func `an access line in JSON`() throws {
        let line = access(Self.record(), .json)
        #expect(!line.contains("\n"))
        #expect(line.hasPrefix("{\"time\":\"2023-11-14T22:13:21.276Z\",\"began\":"))
        let object = try object(line)
        #expect(object["event"] as? String == "end")
        #expect(object["time"] as? String == "2023-11-14T22:13:21.276Z")
        #expect(object["began"] as? String == "2023-11-14T22:13:20.042Z")
        #expect(object["milliseconds"] as? Int == 1_234)
        #expect(object["client"] as? String == "192.0.2.7:50000")
        #expect(object["listener"] as? String == "127.0.0.1:8443")
        #expect(object["host"] as? String == "a.example")
        #expect(object["path"] as? String == "/chat/room")
        #expect(object["route"] as? String == "a.example/chat/*")
        #expect(object["upstream"] as? String == "ws://127.0.0.1:9000")
        #expect(object["status"] as? Int == 101)
        #expect(object["error"] as? String == "")
        #expect(object["detail"] as? String == "")
        #expect(object["closeCode"] as? Int == 1000)
        #expect(object["endedBy"] as? String == "client")
        #expect(object["reason"] as? String == "close")
        #expect(object["tls"] == nil)
        let up = try #require(object["up"] as? [String: Int])
        #expect(up == ["frames": 3, "messages": 2, "payloadBytes": 20, "bytes": 40])
        #expect((object["down"] as? [String: Int])?["messages"] == 5)
    }

    @Test func `the line of an opening says nothing of an end`() throws {
        var record = Self.record()
        record.kind = .opened
        let opening = try object(access(record, .json))
        #expect(opening["event"] as? String == "open")
        #expect(opening["status"] as? Int == 101)
        for key in ["closeCode", "endedBy", "reason"] { #expect(opening[key] == nil) }
    }

    @Test func `each initiator and reason has its word`() throws {
        var record = Self.record()
        for (initiator, word) in [
            (Initiator.none, "nobody"), (.client, "client"), (.upstream, "upstream"),
            (.sluice, "sluice"),
        ] {
            record.initiator = initiator
            #expect(access(record, .text).contains(" by=\(word) "))
        }
        for (reason, word) in [
            (EndReason.none, "cut"), (.close, "close"), (.vanished, "vanished"),
            (.violation, "violation"), (.drain, "drain"), (.answered, "answered"),
        ] {
            record.reason = reason
            #expect(try object(access(record, .json))["reason"] as? String == word)
        }
    }

    @Test func `nobody writes a line of their own, or talks to a terminal`() throws {
        let evil = "x\r\n\u{1B}[31m\t\u{0}\u{7F}\u{9B}\u{85}\u{2028}\" by=\"root\\end ä\u{1F600}"
        var record = Self.record()
        record.host = evil
        record.path = evil
        record.detail = evil
        let text = access(record, .text)
        #expect(
            text.unicodeScalars.allSatisfy {
                $0.value >= 0x20 && !(0x7F..<0xA0).contains($0.value) && $0 != "\u{2028}"
            })
        #expect(text.contains("\\x0d\\x0a\\x1b[31m\\x09\\x00\\x7f\\x9b\\x85\\u{2028}\\x22"))
        #expect(text.contains("\\x5cend"), "an escape can't be forged")
        #expect(text.contains("ä\u{1F600}"))
        // The quotation marks of the line itself are the only ones.
        #expect(text.count { $0 == "\"" } == 2)

        let object = try object(access(record, .json))
        #expect(object["host"] as? String == evil)
        #expect(object["detail"] as? String == evil)
        #expect(!access(record, .json).contains("\n"))
    }

    @Test func `a host with spaces in it adds no word to the line`() {
        let sound = access(Self.record(), .text).split(separator: " ").count
        var record = Self.record()
        record.host = "a 200 b -> ws://elsewhere"
        record.path = "/ reason=drain"
        #expect(access(record, .text).split(separator: " ").count == sound)
    }

    @Test func `another upgrade than websocket is a word of the line, and escaped`() throws {
        var record = AccessRecord(
            client: .ipv4(192, 0, 2, 7, port: 1), listener: .ipv4(127, 0, 0, 1, port: 8_443))
        record.method = "GET"
        record.otherUpgrade = "h2c \" close=1000"
        #expect(try object(access(record, .json))["upgrade"] as? String == "h2c \" close=1000")
        let words = access(record, .text).split(separator: " ")
        #expect(words.contains { $0.hasPrefix("upgrade=h2c") } && !words.contains("close=1000"))
        record.otherUpgrade = ""
        #expect(try object(access(record, .json))["upgrade"] == nil)
        #expect(!access(record, .text).contains("upgrade="))
    }

    @Test func `the rule that has refused a request is a word of the line`() throws {
        var record = AccessRecord(
            client: .ipv4(192, 0, 2, 7, port: 1), listener: .ipv4(127, 0, 0, 1, port: 8_443))
        record.accessRule = "addresses"
        record.user = "ann \" access=x"
        #expect(try object(access(record, .json))["user"] as? String == "ann \" access=x")
        #expect(access(record, .text).split(separator: " ").count { $0.hasPrefix("user=ann") } == 1)
        #expect(!access(record, .text).contains(" access=x"))
        record.user = ""
        #expect(try object(access(record, .json))["user"] == nil)
        #expect(try object(access(record, .json))["access"] as? String == "addresses")
        #expect(access(record, .text).split(separator: " ").contains("access=addresses"))
        record.accessRule = ""
        #expect(try object(access(record, .json))["access"] == nil)
        #expect(!access(record, .text).contains("access="))
    }

    @Test func `events in both forms`() throws {
        let event = LogEvent(.warning, "Name \"x\"\nis gone.")
        let text = self.event(event, .text)
        #expect(text.hasSuffix("Z warning: Name \\x22x\\x22\\x0ais gone."))
        let object = try object(self.event(event, .json))
        #expect(object["level"] as? String == "warning")
        #expect(object["message"] as? String == "Name \"x\"\nis gone.")
        #expect((object["time"] as? String)?.count == "2023-11-14T22:13:20.042Z".count)
    }

    @Test(arguments: [
        (0, "1970-01-01T00:00:00.000Z"), (951_782_400_007, "2000-02-29T00:00:00.007Z"),
        (951_868_799_999, "2000-02-29T23:59:59.999Z"),
        (951_868_800_000, "2000-03-01T00:00:00.000Z"),
        (4_102_444_799_999, "2099-12-31T23:59:59.999Z"),
        (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        (UInt64.max, "9999-12-31T14:25:51.615Z"),
    ])
    func `times are UTC with milliseconds`(milliseconds: UInt64, text: String) {
        var time = Timestamp()
        var buffer = LineBuffer()
        // The second one comes from what the first has left.
        time.append(milliseconds, to: &buffer)
        time.append(milliseconds, to: &buffer)
        #expect(String(decoding: buffer.bytes, as: UTF8.self) == text + text)
    }

    @Test func `every day of four centuries is the system's`() {
        var time = Timestamp()
        var buffer = LineBuffer()
        let formatter = ISO8601DateFormatter()
        for day in stride(from: 0, to: 146_097, by: 7) {
            buffer.clear()
            time.append(UInt64(day) * 86_400_000, to: &buffer)
            let date = Date(timeIntervalSince1970: Double(day) * 86_400)
            #expect(
                String(decoding: buffer.bytes, as: UTF8.self).prefix(19)
                    == formatter.string(from: date).prefix(19))
        }
    }

    @Test(arguments: [
        Address.ipv4(0, 10, 200, 255, port: 8), .ipv4(1, 99, 100, 9, port: 65_535),
        .loopback(port: 7, isIPv6: true), .ipv4(127, 0, 0, 1, port: 10_000),
    ])
    func `an address is written as it describes itself`(address: Address) {
        var buffer = LineBuffer(capacity: 1)
        buffer.append(address)
        #expect(String(decoding: buffer.bytes, as: UTF8.self) == address.description)
    }
}
