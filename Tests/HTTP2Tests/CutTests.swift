// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import HTTP2

/// The pieces in which bytes arrive make no difference.
struct CutTests {
    /// Everything that can be seen of a conversation.
    private struct Outcome: Equatable {
        var events: [HTTP2Event.Kind] = []
        var streams: [Int32] = []
        var heads: [[[String]]] = []
        var bodies: [Int32: [UInt8]] = [:]
        var sent: [RawFrame] = []
        var end: HTTP2ConnectionEnd?
    }

    /// Gives the bytes in these pieces; requests are answered at the end, so that the order of what is
    /// sent is the same.
    private func outcome(_ pieces: [ArraySlice<UInt8>]) -> Outcome {
        let rig = Rig(greets: false) { $0.headFramesMax = 3 }
        var outcome = Outcome()
        for piece in pieces { rig.receive(Array(piece)) }
        func take() {
            while let event = rig.connection.nextEvent() {
                // How often `data` is told depends on when it is taken.
                if event.kind != .data {
                    outcome.events.append(event.kind)
                    outcome.streams.append(event.stream.id)
                }
                switch event.kind {
                case .request:
                    guard let head = rig.connection.takeHead(event.stream) else { continue }
                    outcome.heads.append(
                        [[head.text(of: head.method), head.text(of: head.path)]] + head.pairs)
                    rig.answer(event.stream, 200, [("a", "b")])
                case .trailers:
                    outcome.heads.append(rig.connection.takeTrailerPairs(event.stream) ?? [])
                case .closed:
                    outcome.bodies[event.stream.id] = rig.arrived(event.stream)
                    rig.connection.forget(event.stream)
                default: break
                }
            }
        }
        take()
        outcome.sent = rig.frames()
        take()
        outcome.end = rig.connection.end
        return outcome
    }

    private static let conversations: [String: [RawFrame]] = [
        "requests": [
            .settings([(4, 100_000), (1, 0)]), .settingsAcknowledged, .windowUpdate(0, 1_000_000),
            .headers(1, RawFrame.get + [("cookie", "a"), ("cookie", "b")]),
            .headers(3, RawFrame.post + [("content-length", "8")], ends: false), .ping(),
            .padded(3, [1, 2, 3], padding: 7), .data(3, []), .data(3, [4, 5, 6, 7, 8], ends: true),
            .headers(5, RawFrame.webSocket, ends: false), .priority(5), .data(5, [9]),
            .headers(7, RawFrame.post, ends: false, whole: false),
            RawFrame(type: 9, flags: 0, stream: 7, payload: []),
            RawFrame(type: 9, flags: 4, stream: 7, payload: RawFrame.block([("x", "y")])),
            .headers(7, [("trailer", "t")]), RawFrame(type: 0xBB, payload: [1, 2]),
            .reset(5, 8), .data(5, [1]), .goAway(),
        ],
        "a malformed request": [
            .settings(), .headers(1, RawFrame.get + [("X", "y")]), .headers(3, RawFrame.get),
        ],
        "a violation": [
            .settings(), .headers(1, RawFrame.get), .windowUpdate(0, 0), .headers(3, RawFrame.get),
        ],
        "too many frames": [
            .settings(), .headers(1, RawFrame.get, whole: false),
            RawFrame(type: 9, stream: 1), RawFrame(type: 9, stream: 1),
            RawFrame(type: 9, stream: 1), RawFrame(type: 9, flags: 4, stream: 1),
        ],
        "settings too many": [RawFrame](repeating: .settings(), count: 30),
    ]

    @Test(arguments: conversations.keys.sorted())
    func `bytes cut in two anywhere, or all single, tell the same`(name: String) throws {
        let bytes = RawFrame.preface + (try #require(Self.conversations[name])).bytes
        let whole = outcome([bytes[...]])
        #expect(!whole.events.isEmpty || !whole.sent.isEmpty)
        for cut in 0...bytes.count {
            #expect(outcome([bytes[..<cut], bytes[cut...]]) == whole, "cut at \(cut)")
        }
        #expect(outcome(bytes.indices.map { bytes[$0...$0] }) == whole)
        #expect(
            outcome(
                stride(from: 0, to: bytes.count, by: 3).map {
                    bytes[$0..<min(bytes.count, $0 + 3)]
                }) == whole)
    }

    @Test func `the conversations hold what they are meant to`() throws {
        let requests = try #require(Self.conversations["requests"])
        let found = outcome([(RawFrame.preface + requests.bytes)[...]])
        #expect(found.heads.count == 5 && found.end == .complete)
        #expect(found.heads.first == [["GET", "/a?b"], ["cookie", "a; b"]])
        #expect(found.bodies[3] == [1, 2, 3, 4, 5, 6, 7, 8] && found.bodies[5] == [9])
        #expect(found.events.contains(.closed(.resetByPeer(.cancel))))
        #expect(found.events.contains(.goAway(.noError)))
    }
}
