// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import HTTP2

/// Heads that are not whole, or not lawful, and what the caller is told of them.
struct HalfHeadTests {
    @Test func `it is known since when a head is awaited`() {
        let rig = Rig()
        let whole = RawFrame.headers(1, RawFrame.get).bytes
        #expect(rig.connection.headBeganMilliseconds == nil)
        rig.now = 20_000
        rig.receive(Array(whole[..<12]))
        #expect(rig.connection.headBeganMilliseconds == 20_000)
        rig.now = 21_000
        rig.receive(Array(whole[12..<14]))
        #expect(rig.connection.headBeganMilliseconds == 20_000)
        rig.receive(Array(whole[14...]))
        #expect(rig.connection.headBeganMilliseconds == nil)
        rig.receive(.headers(3, Array(RawFrame.get.prefix(2)), whole: false))
        #expect(rig.connection.headBeganMilliseconds == 21_000)
        rig.now = 22_000
        let rest = RawFrame.block(Array(RawFrame.get.dropFirst(2)))
        rig.receive(RawFrame(type: 9, flags: 4, stream: 3, payload: rest))
        #expect(rig.connection.headBeganMilliseconds == nil)
        #expect(rig.kinds() == [.request(isLast: true), .request(isLast: true)])
    }

    @Test(arguments: [("upgrade", "x"), ("host", "elsewhere"), ("Upper", "x"), ("a", "b\r\nc: d")])
    func `what was read of a malformed request can be said`(name: String, value: String) throws {
        let rig = Rig()
        rig.receive(.headers(1, RawFrame.get + [(name, value)]))
        #expect(rig.frames().of(RawFrame.Kind.reset).map(\.word) == [1])
        let event = try #require(rig.events().first)
        #expect(event.kind == .malformed(.protocolError))
        let head = try rig.connection.head(event.stream)
        #expect(head.text(of: head.path) == "/a?b")
        rig.connection.forget(event.stream)
        #expect(rig.events() == [] && rig.memory.usedBytes == 0)
    }

    @Test func `nothing is told of a malformed request at the end of its connection`() {
        let rig = Rig()
        rig.receive(.headers(1, Array(RawFrame.get.prefix(2)), whole: false))
        rig.connection.terminate(.noError)
        _ = rig.output()
        #expect(rig.kinds() == [.over])
    }

    @Test(arguments: [(100, true), (1, false)])
    func `small windows that are given back are served, and those of a byte are abuse`(
        window: UInt32, isServed: Bool
    ) {
        let rig = Rig(settings: [(4, window)])
        let stream = rig.open(.headers(1, RawFrame.get))
        rig.answer(stream, hasBody: true)
        for _ in 0..<3_000 where rig.connection.end == nil {
            rig.send(stream, RawFrame.bytes(Int(window) * 2))
            _ = rig.output()
            rig.receive(.windowUpdate(1, window), .windowUpdate(0, window))
        }
        let end = rig.connection.end
        #expect(end == (isServed ? nil : .abuse(.smallWindowUpdates)))
    }
}
