// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

@testable import Tap

/// Lines of the admin socket become lines for people.
@Suite struct TapDecoderTests {
    static func relay(isLive: Bool = false) -> TapRecord {
        var record = TapRecord(.relay, atMicroseconds: 1_000)
        record.relay = "0-1-1"
        record.live = isLive
        record.scheme = "wss"
        record.host = "localhost"
        record.path = "/chat"
        record.protocol = "http/1.1"
        record.client = "127.0.0.1:5"
        record.endpoint = "ws://127.0.0.1:3000"
        record.subprotocol = "chat"
        return record
    }

    static func frame(
        _ opcode: String, _ payload: [UInt8]?, isFinal: Bool = true, bytes: Int? = nil,
        isCompressed: Bool = false, direction: String = "up"
    ) -> TapRecord {
        var record = TapRecord(.frame, atMicroseconds: 2_000_001)
        record.relay = "0-1-1"
        record.direction = direction
        record.from = direction == "up" ? "client" : "upstream"
        record.to = direction == "up" ? "upstream" : "client"
        record.opcode = opcode
        record.final = isFinal
        record.bytes = UInt64(bytes ?? payload?.count ?? 0)
        record.payload = payload.map { Data($0).base64EncodedString() }
        if isCompressed { record.compressed = true }
        return record
    }

    @Test func textIsTextAndTheRestIsNot() {
        var decoder = TapDecoder(payloadBytesMax: 100)
        _ = decoder.decode(Self.relay())
        let text = decoder.decode(Self.frame("text", Array("grüß\n".utf8)))
        #expect(text?.text == "grüß\n")
        #expect(text?.payload == nil)
        let broken = decoder.decode(Self.frame("text", [0xFF]))
        #expect(broken?.text == nil)
        #expect(broken?.payloadData == Data([0xFF]))
        let binary = decoder.decode(Self.frame("binary", Array("abc".utf8)))
        #expect(binary?.payloadData == Data("abc".utf8))
        // A continuation is of the kind of its message; control frames in between change nothing.
        _ = decoder.decode(Self.frame("text", [65], isFinal: false))
        _ = decoder.decode(Self.frame("ping", [1]))
        #expect(decoder.decode(Self.frame("continuation", [66]))?.text == "B")
        _ = decoder.decode(Self.frame("binary", [65], isFinal: false))
        #expect(decoder.decode(Self.frame("continuation", [66]))?.payloadData == Data([66]))
        var close = Self.frame("close", [3, 232, 98, 121, 101])
        close.code = 1000
        #expect(decoder.decode(close)?.text == "bye")
    }

    @Test func compressedMessagesAreInflatedWithTheWindowOfEachDirection() throws {
        var decoder = TapDecoder(payloadBytesMax: 1_000)
        _ = decoder.decode(Self.relay())
        let (up, down) = (Deflater(), Deflater())
        for round in 0..<20 {
            let text = "message \(round % 3) of a conversation"
            let sent = decoder.decode(
                Self.frame("text", up.message(text), isCompressed: true))
            #expect(sent?.text == text)
            #expect(sent?.inflatedBytes == UInt64(text.utf8.count))
            #expect(sent?.notInflated == nil)
            let came = decoder.decode(
                Self.frame("text", down.message(text), isCompressed: true, direction: "down"))
            #expect(came?.text == text)
        }
        // What is not compressed between them leaves the window alone.
        #expect(decoder.decode(Self.frame("text", [65]))?.text == "A")
        let last = decoder.decode(
            Self.frame("text", up.message("message 1 of a conversation"), isCompressed: true))
        #expect(last?.text == "message 1 of a conversation")
    }

    @Test func aTapThatBeginsAmidARelaySaysSoUntilTheWindowPermits() {
        var decoder = TapDecoder(payloadBytesMax: 1_000)
        let deflater = Deflater()
        _ = deflater.message("a word that was said before")
        _ = decoder.decode(Self.relay(isLive: true))
        let bytes = deflater.message("a word that was said before")
        let early = decoder.decode(Self.frame("text", bytes, isCompressed: true))
        #expect(early?.text == nil)
        #expect(early?.payloadData == Data(bytes))
        #expect(early?.notInflated == "it refers to messages from before this tap began")
        #expect(early?.inflatedBytes == nil)
        // Nothing of this one was said before.
        let fresh = "0123456789 BCDEFGHIJKLMNOP"
        for _ in 0..<2 {
            let later = decoder.decode(
                Self.frame("text", deflater.message(fresh), isCompressed: true))
            #expect(later?.text == fresh)
        }
        let old = decoder.decode(
            Self.frame(
                "text", deflater.message("a word that was said before"), isCompressed: true))
        #expect(old?.notInflated == "it refers to messages from before this tap began")
    }

    @Test func lostAndLongFramesTakeTheWindowAlong() {
        var decoder = TapDecoder(payloadBytesMax: 1_000)
        let deflater = Deflater()
        _ = decoder.decode(Self.relay())
        _ = decoder.decode(
            Self.frame("text", deflater.message("one two three"), isCompressed: true))
        _ = deflater.message("four five six")
        var behind = Self.frame("text", deflater.message("four five six"), isCompressed: true)
        behind.gap = true
        let lost = decoder.decode(behind)
        #expect(lost?.notInflated == "it refers to messages that this tap has lost")
        let fresh = deflater.message("987654321")
        #expect(decoder.decode(Self.frame("text", fresh, isCompressed: true))?.text == "987654321")
        // Only its begin was told.
        let long = deflater.message("a long message, as this stands for one")
        var cut = Self.frame(
            "text", Array(long.prefix(long.count / 2)), bytes: long.count, isCompressed: true)
        cut.truncated = true
        #expect(decoder.decode(cut)?.truncated == true)
        let after = decoder.decode(
            Self.frame(
                "text", deflater.message("a long message, as this stands for one"),
                isCompressed: true))
        #expect(after?.notInflated == "it refers to a frame that was longer than a tap tells")
    }

    @Test func aMessageInSeveralFramesIsInflatedFrameByFrame() {
        var decoder = TapDecoder(payloadBytesMax: 1_000)
        _ = decoder.decode(Self.relay())
        let text = "in three frames that are cut anywhere"
        let bytes = Deflater().message(text)
        let pieces = [bytes[..<5], bytes[5..<11], bytes[11...]].map(Array.init)
        var found = ""
        for (index, piece) in pieces.enumerated() {
            let record = decoder.decode(
                Self.frame(
                    index == 0 ? "text" : "continuation", piece, isFinal: index == 2,
                    isCompressed: true))
            found += record?.text ?? ""
        }
        #expect(found == text)
    }

    @Test func ofAFrameThatIsNotWholeWhatHasComeIsInflatedAndNoMore() {
        var decoder = TapDecoder(payloadBytesMax: 1_000)
        _ = decoder.decode(Self.relay())
        // A stored block (RFC 1951 §3.2.4) of ten bytes, of which three have come.
        let block: [UInt8] = [0, 10, 0, 245, 255] + Array("abc".utf8)
        var cut = Self.frame("text", block, bytes: 16, isCompressed: true)
        cut.cut = true
        let shown = decoder.decode(cut)
        #expect(shown?.text == "abc")
        #expect(shown?.truncated == true)
        #expect(shown?.inflatedBytes == 3)
    }

    @Test func controlCharactersThatJSONLetsStandAreEscapes() throws {
        var record = Self.frame("text", nil)
        record.text = "a\u{7F}\u{9B}31mä\u{C2}\u{80}\u{A0}é"
        let harmless = TapText.harmless(record.line)
        let text = String(decoding: harmless, as: UTF8.self)
        #expect(text.contains("a\\u007f\\u009b31mä\u{C2}\\u0080\u{A0}é"), "\(text)")
        #expect(TapRecord(line: Data(harmless)) == record)
        #expect(TapText.harmless(Data([0xC2])) == [0xC2])
    }

    @Test func aRelayThatHasMovedIsNotClosed() {
        var moved = TapRecord(.closed, atMicroseconds: 5)
        moved.relay = "0-1-1"
        moved.initiator = "sluice"
        moved.reason = TapRecord.movedReason
        moved.detail = "to another reactor"
        #expect(
            TapText.line(moved)
                == "0.000005  0-1-1  moved  to another reactor  0 messages, 0 B up; 0 messages, 0 B down"
        )
    }

    @Test func anArchiveHasABound() {
        var har = TapHAR(version: "1.0", bytesMax: 20_000)
        har.take(Self.relay())
        var count = 0
        while !har.isFull, count < 1_000 {
            var frame = Self.frame("text", nil)
            frame.text = "a short message"
            har.take(frame)
            count += 1
        }
        #expect((10..<100).contains(count), "\(count)")
        var long = TapHAR(version: "1.0", bytesMax: 20_000)
        long.take(Self.relay())
        // A message that never ends is held as well.
        var part = Self.frame("binary", [UInt8](repeating: 1, count: 15_000), isFinal: false)
        long.take(part)
        #expect(!long.isFull)
        part.opcode = "continuation"
        long.take(part)
        #expect(long.isFull)
    }

    @Test func contextIsUsedAndNotShown() {
        var decoder = TapDecoder(payloadBytesMax: 1_000)
        let deflater = Deflater()
        _ = decoder.decode(Self.relay())
        var hidden = Self.frame(
            "binary", deflater.message("said in a binary message"), isCompressed: true)
        hidden.context = true
        #expect(decoder.decode(hidden) == nil)
        let shown = decoder.decode(
            Self.frame("text", deflater.message("said in a binary message"), isCompressed: true))
        #expect(shown?.text == "said in a binary message")
    }

    @Test func linesSayWhoToWhomWhatAndHowLong() {
        var decoder = TapDecoder(payloadBytesMax: 3)
        func shown(_ record: TapRecord) -> String {
            decoder.decode(record).map(TapText.line) ?? ""
        }
        #expect(
            shown(Self.relay())
                == "0.001000  0-1-1  opened  wss://localhost/chat  of 127.0.0.1:5 by http/1.1, to"
                + " ws://127.0.0.1:3000  subprotocol chat")
        #expect(
            shown(Self.frame("text", Array("a\u{1b}\n".utf8)))
                == "2.000001  0-1-1  client > upstream  text  3 B  a\\u{1b}\\n")
        #expect(
            shown(Self.frame("binary", [0, 255, 16, 1], direction: "down"))
                == "2.000001  0-1-1  upstream > client  binary  4 B  00 ff 10 …")
        #expect(
            shown(Self.frame("ping", nil, bytes: 8))
                == "2.000001  0-1-1  client > upstream  ping  8 B")
        var lost = TapRecord(.lost, atMicroseconds: 5)
        lost.frames = 1
        lost.relays = 0
        #expect(TapText.line(lost) == "0.000005  lost 1 frame: this tap is too slow")
    }

    @Test func aLineIsReadAsItWasWritten() throws {
        let record = Self.frame("text", Array("a".utf8))
        let line = record.line
        #expect(line.last == 10)
        #expect(TapRecord(line: line.dropLast()) == record)
        let keys = try #require(
            try JSONSerialization.jsonObject(with: line) as? [String: Any])
        // What is not there is left out.
        #expect(
            Set(keys.keys) == [
                "type", "atMicroseconds", "relay", "direction", "from", "to", "opcode", "final",
                "bytes", "payload",
            ])
        #expect(TapRecord(line: Data("{}".utf8)) == nil)
        #expect(TapRecord(line: Data("nonsense".utf8)) == nil)
    }

    @Test func anArchiveHasWholeMessagesAsChromiumWritesThem() throws {
        var decoder = TapDecoder(payloadBytesMax: 1_000)
        var har = TapHAR(version: "1.0")
        var start = TapRecord(.tap, atMicroseconds: 0)
        start.startedMilliseconds = 1_700_000_000_500
        var end = TapRecord(.closed, atMicroseconds: 3_000_000)
        end.relay = "0-1-1"
        for record in [
            start, Self.relay(), Self.frame("text", Array("he".utf8), isFinal: false),
            Self.frame("ping", [1]), Self.frame("continuation", Array("llo".utf8)),
            Self.frame("binary", [0, 1, 2], direction: "down"), Self.frame("close", [3, 232]), end,
        ] {
            if let shown = decoder.decode(record) { har.take(shown) }
        }
        let object = try JSONSerialization.jsonObject(with: har.archive())
        let log = try #require((object as? [String: Any])?["log"] as? [String: Any])
        #expect(log["version"] as? String == "1.2")
        let entries = try #require(log["entries"] as? [[String: Any]])
        #expect(entries.count == 1)
        let entry = try #require(entries.first)
        #expect(entry["_resourceType"] as? String == "websocket")
        #expect(entry["startedDateTime"] as? String == "2023-11-14T22:13:20.501Z")
        #expect((entry["request"] as? [String: Any])?["url"] as? String == "wss://localhost/chat")
        #expect((entry["response"] as? [String: Any])?["status"] as? Int == 101)
        let messages = try #require(entry["_webSocketMessages"] as? [[String: Any]])
        #expect(messages.map { $0["type"] as? String } == ["send", "receive"])
        #expect(messages.map { $0["opcode"] as? Int } == [1, 2])
        #expect(messages.map { $0["data"] as? String } == ["hello", "AAEC"])
        let time = try #require(messages.first?["time"] as? Double)
        #expect(abs(time - 1_700_000_002.500_001) < 0.000_01)
    }
}
