// SPDX-License-Identifier: Apache-2.0
import Foundation
import Frontend
import Reactor
import Splice
import TLS
import Testing

@testable import Control

/// Lines of the log: what stands in them, and what nobody gets into them.
struct LogLineTests {
    private static func record() -> AccessRecord {
        var record = AccessRecord(
            client: .ipv4(192, 0, 2, 7, port: 50_000), listener: .loopback(port: 8443))
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

    private func object(_ line: String) throws -> [String: Any] {
        try #require(
            try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
    }

    @Test func `an access line in text`() {
        #expect(
            LogLine.access(Self.record(), .text)
                == "2023-11-14T22:13:20.042Z 192.0.2.7:50000 101 a.example/chat/room"
                + " -> ws://127.0.0.1:9000 route=a.example/chat/* up=2msg/40B down=5msg/500B"
                + " close=1000 by=client reason=close 1234ms")
    }

    @Test func `an access line in text of a refusal`() {
        var record = AccessRecord(
            client: .loopback(port: 1, isIPv6: true), listener: .loopback(port: 8443))
        record.acceptedWallMilliseconds = 1_700_000_000_000
        record.status = 404
        record.path = "/x"
        record.proxyError = "destination_not_found"
        record.detail = "No route serves /x on host ."
        #expect(
            LogLine.access(record, .text)
                == "2023-11-14T22:13:20.000Z [::1]:1 404 -/x 0ms error=destination_not_found"
                + " detail=\"No route serves /x on host .\"")
        record.status = 0
        #expect(LogLine.access(record, .text).contains(" [::1]:1 - -/x "))
    }

    @Test func `an access line in JSON`() throws {
        let line = LogLine.access(Self.record(), .json)
        #expect(!line.contains("\n"))
        let object = try object(line)
        #expect(object["time"] as? String == "2023-11-14T22:13:20.042Z")
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

    @Test func `each initiator and reason has its word`() throws {
        var record = Self.record()
        for (initiator, word) in [
            (Initiator.none, "nobody"), (.client, "client"), (.upstream, "upstream"),
            (.sluice, "sluice"),
        ] {
            record.initiator = initiator
            #expect(LogLine.access(record, .text).contains(" by=\(word) "))
        }
        for (reason, word) in [
            (EndReason.none, "cut"), (.close, "close"), (.vanished, "vanished"),
            (.violation, "violation"), (.drain, "drain"), (.answered, "answered"),
        ] {
            record.reason = reason
            #expect(try object(LogLine.access(record, .json))["reason"] as? String == word)
        }
    }

    @Test func `nobody writes a line of their own, or talks to a terminal`() throws {
        let evil = "x\r\n\u{1B}[31m\t\u{0}\u{7F}\u{9B}\u{85}\u{2028}\" by=\"root\\end ä\u{1F600}"
        var record = Self.record()
        record.host = evil
        record.path = evil
        record.detail = evil
        let text = LogLine.access(record, .text)
        #expect(
            text.unicodeScalars.allSatisfy {
                $0.value >= 0x20 && !(0x7F..<0xA0).contains($0.value) && $0 != "\u{2028}"
            })
        #expect(text.contains("\\x0d\\x0a\\x1b[31m\\x09\\x00\\x7f\\x9b\\x85\\u{2028}\\x22"))
        #expect(text.contains("\\x5cend"), "an escape can't be forged")
        #expect(text.contains("ä\u{1F600}"))
        // The quotation marks of the line itself are the only ones.
        #expect(text.count { $0 == "\"" } == 2)

        let object = try object(LogLine.access(record, .json))
        #expect(object["host"] as? String == evil)
        #expect(object["detail"] as? String == evil)
        #expect(!LogLine.access(record, .json).contains("\n"))
    }

    @Test func `a host with spaces in it adds no word to the line`() {
        let sound = LogLine.access(Self.record(), .text).split(separator: " ").count
        var record = Self.record()
        record.host = "a 200 b -> ws://elsewhere"
        record.path = "/ reason=drain"
        #expect(LogLine.access(record, .text).split(separator: " ").count == sound)
    }

    @Test func `events in both forms`() throws {
        let event = LogEvent(.warning, "Name \"x\"\nis gone.")
        let text = LogLine.event(event, .text)
        #expect(text.hasSuffix("Z warning: Name \\x22x\\x22\\x0ais gone."))
        let object = try object(LogLine.event(event, .json))
        #expect(object["level"] as? String == "warning")
        #expect(object["message"] as? String == "Name \"x\"\nis gone.")
        #expect((object["time"] as? String)?.count == "2023-11-14T22:13:20.042Z".count)
    }

    @Test(arguments: [
        (0, "1970-01-01T00:00:00.000Z"), (951_782_400_007, "2000-02-29T00:00:00.007Z"),
        (4_102_444_799_999, "2099-12-31T23:59:59.999Z"),
    ])
    func `times are UTC with milliseconds`(milliseconds: UInt64, text: String) {
        #expect(LogLine.timestamp(milliseconds) == text)
    }
}
