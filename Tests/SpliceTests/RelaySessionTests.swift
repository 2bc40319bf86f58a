// SPDX-License-Identifier: Apache-2.0
import Ledger
import Testing
import Wire

@testable import Splice

/// Goal: a client's session, with its secrets, lives for as long as the client can be heard or told
/// anything, and not until the other side of the relay has ended too.
///
/// Method: a backend that never answers the Close, and clients that go in every way.
struct RelaySessionTests {
    @Test(arguments: [false, true])
    func `the session of a client that is gone is freed before its backend has answered`(
        released: Bool
    ) throws {
        let rig = try RelayRig.open(.tls, released: released)
        rig.exchange(.client, Frames.from(.client, .text, [1]))
        rig.exchange(.backend, Frames.from(.backend, .text, [2]))
        #expect(rig.hasSession)
        rig.client.vanish()
        rig.exchange()
        #expect(!rig.hasSession)
        // The backend is told, and has its time.
        #expect(Frames.parse(rig.backend.received)?.map(\.code).last == 1001)
        #expect(!rig.isEnded && !rig.backend.hasEnded)
        rig.exchange(.backend, Frames.from(.backend, .text, [3]))
        #expect(!rig.isEnded)
        rig.exchange(.backend, Frames.close(from: .backend, 1001))
        rig.backend.vanish()
        rig.exchange()
        #expect(rig.isEnded)
    }

    /// RFC 8446 §6.1: a stream that ends without close_notify was cut.
    @Test func `a client that ends TCP alone hears nothing more, and its session is freed`() throws
    {
        let rig = try RelayRig.open(.tls)
        rig.client.shutdown(notifying: false)
        rig.exchange()
        #expect(!rig.hasSession && !rig.isEnded)
        rig.exchange(.backend, Frames.from(.backend, .text, [3]))
        #expect(rig.client.received.isEmpty)
        #expect(Frames.parse(rig.backend.received)?.map(\.code) == [1001])
    }

    @Test func `a client that ends TLS in order hears what still comes`() throws {
        let rig = try RelayRig.open(.tls)
        rig.client.shutdown()
        rig.exchange()
        #expect(rig.hasSession)
        let text = Frames.from(.backend, .text, [3])
        rig.exchange(.backend, text)
        #expect(rig.client.received == text)
    }

    @Test func `a client that ends TCP behind its Close gets the answer`() throws {
        let rig = try RelayRig.open(.tls)
        rig.client.enqueue(Frames.close(from: .client, 1000))
        rig.client.shutdown(notifying: false)
        rig.exchange()
        #expect(rig.hasSession)
        let answer = Frames.close(from: .backend, 1000)
        rig.exchange(.backend, answer)
        #expect(rig.client.received == answer)
    }

    /// The window of sealed records is all legs': whoever ends first must not take what is another's.
    @Test(arguments: [false, true])
    func `an upstream that is cut gets no record that was sealed for the client`(released: Bool)
        throws
    {
        let rig = try RelayRig.open(.tls, released: released, smallBuffers: true)
        let message = Frames.from(.client, .binary, [UInt8](repeating: 7, count: 30_000))
        let half = Array(message.prefix(500))
        rig.backend.isDeaf = true
        // All in one receive: what the upstream takes slowly, half a frame, and the end of the client.
        rig.client.enqueue(message + half)
        rig.client.shutdown()
        rig.settle()
        #expect(rig.heldForBackend > 0)
        let close = Frames.close(from: .backend, 1000)
        rig.backend.enqueue(close)
        rig.settle()
        rig.backend.isDeaf = false
        rig.exchange()
        #expect(rig.backend.received == message + half)
        #expect(rig.client.received == close)
        #expect(rig.client.wasClosedByNotify)
    }

    /// Behind its Close the upstream has still something to be read, and reading it sends what waits in the window.
    @Test(arguments: [false, true])
    func `an upstream that speaks TLS gets no Close that was sealed for the client`(released: Bool)
        throws
    {
        let rig = try RelayRig.open(
            .tls, released: released, receiveCapacity: 1_024, secureBackend: true)
        let ours = Frames.close(from: .client, 1000)
        rig.exchange(.client, ours)
        #expect(rig.backend.received == ours)
        let theirs = Frames.close(from: .backend, 1000)
        rig.backend.enqueue(
            theirs + Frames.from(.backend, .binary, Array(repeating: 7, count: 9_000)))
        rig.backend.shutdown()
        rig.exchange()
        #expect(rig.client.received == theirs)
        #expect(rig.client.wasClosedByNotify)
        #expect(rig.backend.received == ours)
        #expect(rig.ending.reason == .close)
    }

    @Test(arguments: [false, true])
    func `the Close of an upstream that can be sent nothing any more reaches the client`(
        released: Bool
    ) throws {
        let rig = try RelayRig.open(.tls, released: released)
        // Both say Close at the same time, and the upstream is gone behind it.
        let close = Frames.close(from: .backend, 1000)
        rig.backend.enqueue(close)
        rig.backend.vanish()
        rig.client.enqueue(Frames.close(from: .client, 1000))
        rig.exchange()
        #expect(rig.client.received == close)
        #expect(rig.client.wasClosedByNotify)
        #expect(rig.ending.reason == .close)
    }

    @Test func `after a violation the session is freed once the client has gone`() throws {
        let rig = try RelayRig.open(.tls)
        // A frame without a mask (RFC 6455 §5.1).
        rig.exchange(.client, Frames.from(.backend, .text, [1]))
        #expect(Frames.parse(rig.client.received)?.map(\.code) == [1002])
        #expect(rig.hasSession && !rig.isEnded)
        rig.client.vanish()
        rig.exchange()
        #expect(!rig.hasSession && !rig.isEnded)
    }
}
