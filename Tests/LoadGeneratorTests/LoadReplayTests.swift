// SPDX-License-Identifier: Apache-2.0
//
// Goal: what was recorded is sent again, in its order and not before its time.
// Method: a record of a tap and a HAR, against a server that keeps what it gets.

import Foundation
import TestKit
import Testing

@testable import LoadGenerator

@Suite struct LoadReplayTests {
    private static let record = """
        {"type":"tap","atMicroseconds":0,"version":1,"startedMilliseconds":1760000000000,"payloads":true}
        {"type":"relay","atMicroseconds":1000,"relay":"0-1-1","path":"/chat","scheme":"wss","host":"a"}
        {"type":"relay","atMicroseconds":1500,"relay":"0-2-1","path":"/chat","scheme":"wss","host":"a"}
        {"type":"frame","atMicroseconds":2000,"relay":"0-1-1","direction":"up","opcode":"text","final":false,"bytes":3,"text":"one"}
        {"type":"frame","atMicroseconds":2500,"relay":"0-1-1","direction":"up","opcode":"ping","final":true,"bytes":0}
        {"type":"frame","atMicroseconds":3000,"relay":"0-1-1","direction":"up","opcode":"continuation","final":true,"bytes":4,"text":" ${x"}
        {"type":"frame","atMicroseconds":4000,"relay":"0-1-1","direction":"down","opcode":"text","final":true,"bytes":7,"text":"one ${x"}
        {"type":"frame","atMicroseconds":201000,"relay":"0-1-1","direction":"up","opcode":"binary","final":true,"bytes":2,"payload":"AQI="}
        {"type":"frame","atMicroseconds":202000,"relay":"0-1-1","direction":"down","opcode":"binary","final":true,"bytes":2,"payload":"AQI="}
        {"type":"frame","atMicroseconds":203000,"relay":"0-2-1","direction":"down","opcode":"text","final":true,"bytes":2,"text":"hi"}
        {"type":"closed","atMicroseconds":300000,"relay":"0-1-1","code":1000}

        """

    private static let archive = """
        {"log": {"version": "1.2", "entries": [
          {"request": {"url": "https://a.test/page", "headers": []}},
          {"request": {"url": "wss://a.test/feed?token=hush", "headers": [
              {"name": "Cookie", "value": "s=hush"}, {"name": "Sec-WebSocket-Protocol", "value": "v1, v2"}]},
           "_webSocketMessages": [
             {"type": "send", "time": 1760000000.5, "opcode": 1, "data": "a"},
             {"type": "receive", "time": 1760000000.6, "opcode": 1, "data": "a"},
             {"type": "send", "time": 1760000000.7, "opcode": 2, "data": "AQI="},
             {"type": "receive", "time": 1760000000.8, "opcode": 2, "data": "AQI="}]}]}}
        """

    private func recording(_ text: String) throws -> LoadRecording {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        try Scratch.write(text, to: "\(folder)/r")
        return try LoadRecording(path: "\(folder)/r")
    }

    /// Plays a recording against an echo server: the summary, and the heads and payloads that came.
    private func play(
        _ recording: LoadRecording, _ speed: LoadRecording.Speed, expects: Bool = true,
        sendsSecrets: Bool = false, connections: Int = 1
    ) throws -> (LoadSummary, heads: [String], payloads: [[UInt8]]) {
        let kept = Monitor<(heads: [String], payloads: [[UInt8]])>(([], []))
        let backend = try ScriptedBackend { peer in
            let head = try peer.accept(
                extra: recording.sockets[0].subprotocols.first.map {
                    [(name: "Sec-WebSocket-Protocol", value: $0)]
                } ?? [])
            kept.update { $0.heads.append("\(head.target) \(head.fields)") }
            while let frame = try peer.readFrameOrEnd() {
                var answer = frame
                answer.maskKey = nil
                if frame.opcode < 8 { kept.update { $0.payloads.append(frame.payload) } }
                try peer.send(answer)
                if frame.opcode == 8 { return }
            }
        }
        defer { backend.stop() }
        var plan = try plan(backend.address.port, .script, connections: connections)
        plan.program = recording.program(
            speed: speed, expectsReplies: expects, sendsSecrets: sendsSecrets)
        plan.end = .seconds(600)
        let summary = try LoadCrew(plan, threads: 1).run().summary
        return (summary, kept.value.heads, kept.value.payloads)
    }

    private static let sent = [Array("one ${x".utf8), [1, 2]]

    @Test func `a record of a tap is played with its pauses, and what comes back is checked`()
        throws
    {
        let recording = try recording(Self.record)
        // The other socket's client has said nothing.
        #expect(recording.count == 1)
        let (summary, heads, payloads) = try play(recording, .times(1))
        #expect(summary.errors == [])
        #expect(payloads == Self.sent)
        #expect(heads.first?.hasPrefix("/chat ") == true)
        #expect(summary.seconds >= 0.2)
        #expect(summary.latencyMicroseconds.count == 2)
    }

    @Test func `faster means shorter pauses, and at most none at all`() throws {
        let recording = try recording(Self.record)
        for speed in [LoadRecording.Speed.times(4), .max] {
            let (summary, _, payloads) = try play(recording, speed, expects: speed == .max)
            #expect(summary.errors == [])
            #expect(payloads == Self.sent)
            if speed != .max { #expect(summary.seconds >= 0.05) }
        }
        let (summary, _, payloads) = try play(recording, .max, connections: 5)
        #expect(summary.errors == [])
        #expect(payloads.count == 10)
        #expect(summary.scenarios.map(\.finished) == [5])
    }

    @Test func `a client stays for as long as its WebSocket was open`() throws {
        let recording = try recording(Self.record)
        let (summary, _, _) = try play(recording, .times(1), expects: false)
        // The end of the relay is recorded 299 ms behind its begin, and the reply to the last message has come.
        #expect(summary.seconds >= 0.299)
        #expect(summary.messages.received == 2 && summary.errors == [])
        let (faster, _, _) = try play(recording, .times(2), expects: false)
        #expect((0.1495..<0.299).contains(faster.seconds), "\(faster.seconds)")
    }

    @Test(arguments: [
        (
            #"{"type":"frame","atMicroseconds":300000,"relay":"0-1-1","direction":"down","opcode":"ping"}"#,
            0.299
        ),
        (
            #"{"type":"frame","atMicroseconds":250000,"relay":"0-1-1","direction":"down","opcode":"close"}"#,
            0.249
        ),
        (#"{"type":"closed","atMicroseconds":300000,"relay":"0-1-1","reason":"moved"}"#, 0.201),
    ])
    func `the end is the first Close, or else the last that is known`(
        line: String, seconds: Double
    ) throws {
        let closed = #"{"type":"closed","atMicroseconds":300000,"relay":"0-1-1","code":1000}"#
        let text = Self.record.replacing(
            closed, with: line.contains("close\"") ? line + "\n" + closed : line)
        let end = try #require(try recording(text).sockets.first?.endSeconds)
        #expect(abs(end - seconds) < 1e-9, "\(end)")
    }

    @Test func `a server that ends what was played whole is no error`() throws {
        let recording = try recording(
            Self.record.replacing("\"atMicroseconds\":300000", with: "\"atMicroseconds\":60000000"))
        let backend = try ScriptedBackend { peer in
            try peer.accept()
            for _ in 0..<2 { _ = try peer.readFrame() }
            try peer.send(.close(1000))
            _ = try peer.readUntilEnd()
        }
        defer { backend.stop() }
        var plan = try plan(backend.address.port, .script, connections: 1)
        plan.program = recording.program(
            speed: .times(1), expectsReplies: false, sendsSecrets: false)
        plan.end = .seconds(600)
        let summary = try LoadCrew(plan, threads: 1).run().summary
        #expect(summary.errors == [])
        #expect(summary.scenarios.map(\.finished) == [1])
        #expect(summary.seconds < 30)
    }

    @Test func `a reply that is not the recorded one is an error`() throws {
        let changed = Self.record.replacing(
            "\"direction\":\"down\",\"opcode\":\"text\",\"final\":true,\"bytes\":7,\"text\":\"one",
            with:
                "\"direction\":\"down\",\"opcode\":\"text\",\"final\":true,\"bytes\":7,\"text\":\"two"
        )
        let (summary, _, _) = try play(try recording(changed), .max)
        #expect(summary.errors.map(\.cause) == ["expectation"])
        let example = summary.errors.first?.example ?? ""
        #expect(example.contains("scenario '0-1-1', message 2: "), "\(example)")
        let (lenient, _, _) = try play(try recording(changed), .max, expects: false)
        #expect(lenient.errors == [])
    }

    @Test func `a reply of the other kind is an error`() throws {
        let changed = Self.record.replacing(
            "\"direction\":\"down\",\"opcode\":\"text\",\"final\":true,\"bytes\":7",
            with: "\"direction\":\"down\",\"opcode\":\"binary\",\"final\":true,\"bytes\":7")
        #expect(changed != Self.record)
        let (summary, _, _) = try play(try recording(changed), .max)
        #expect(summary.errors.map(\.cause) == ["expectation"])
        let example = summary.errors.first?.example ?? ""
        #expect(example.contains("a binary message that is"), "\(example)")
    }

    @Test func `a HAR is played without its secrets, or with them when asked`() throws {
        let recording = try recording(Self.archive)
        #expect(recording.count == 1)
        let (plain, heads, payloads) = try play(recording, .times(10))
        #expect(plain.errors == [])
        #expect(payloads == [[0x61], [1, 2]])
        #expect(heads.first?.hasPrefix("/feed ") == true)
        #expect(heads.first?.contains("hush") == false)
        #expect(heads.first?.contains("v1, v2") == true)
        let (_, secret, _) = try play(recording, .max, sendsSecrets: true)
        #expect(secret.first?.hasPrefix("/feed?token=hush ") == true)
        #expect(secret.first?.contains("s=hush") == true)
    }

    @Test(arguments: [
        ("hello", "neither a record of sluice tap --record nor a HAR"),
        ("{\"log\": {\"entries\": []}}", "nothing to play"),
        (
            record.replacing("\"text\":\"one\"", with: "\"truncated\":true"),
            "line 4: the payload is not all there"
        ),
        (
            """
            {"log": {"entries": [{"_webSocketMessages": [
            {"type": "send", "time": 1, "opcode": 1, "data": "a"},
            {"type": "send", "time": 1e25, "opcode": 1, "data": "b"}]}]}}
            """, "more than 30 days behind the first"
        ),
        (
            """
            {"type":"Metric","data":{"name":"ws_sessions","type":"counter"},"metric":"ws_sessions"}
            {"type":"Point","data":{"time":"2026-01-01T00:00:00Z","value":1},"metric":"ws_msgs_sent"}

            """, "these are metrics of k6 (--out json), in which no message stands"
        ),
        (
            """
            {"log": {"creator": {"name": "k6-studio"}, "entries": [
            {"request": {"url": "https://a.test/ws"}, "response": {"status": 101}},
            {"request": {"url": "https://a.test/"}, "response": {"status": 200}}]}}
            """, "1 WebSocket in it without _webSocketMessages"
        ),
        (
            archive.replacing(
                "\"opcode\": 2, \"data\": \"AQI=\"", with: "\"opcode\": 2, \"data\": \"A!\""),
            "message 3 of WebSocket 1 is binary, and its data is no base64"
        ),
        (record + "nonsense\n", "line 12: this is no line of sluice tap"),
    ])
    func `a file that can't be played says why`(text: String, words: String) throws {
        let fault = #expect(throws: LoadFault.self) { try recording(text) }
        #expect(fault?.sentence.contains(words) == true, "\(fault?.sentence ?? "")")
    }
}
