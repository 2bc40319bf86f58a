// SPDX-License-Identifier: Apache-2.0
import Testing
import Wire

@testable import Splice

/// The body of an ordinary answer goes to the client up to where its framing ends.
struct RelayBodyTests {
    private static let chunked = Array(
        "5\r\nhello\r\nA;x=y\r\n0123456789\r\n0\r\nTrailer: a\r\n\r\n".utf8)

    private func expectDelivered(_ rig: RelayRig, _ body: [UInt8], tls: Bool) {
        #expect(rig.client.received == body)
        #expect(rig.client.hasEnded)
        #expect(rig.client.wasClosedByNotify == tls)
        #expect(rig.ending.reason == .answered)
        #expect(rig.downCounts.bytes == UInt64(body.count))
        #expect(rig.lentCount == 0)
        rig.client.vanish()
        rig.backend.vanish()
        rig.settle()
        #expect(rig.isEnded)
    }

    @Test(arguments: [false, true], [false, true])
    func `a counted body ends where it says`(tls: Bool, closesAtOnce: Bool) throws {
        let rig = try RelayRig.answering(.length(1_000), tls: tls)
        let body = [UInt8](repeating: 0x41, count: 1_000)
        rig.exchange(.backend, Array(body[..<400]))
        #expect(!rig.client.hasEnded)
        rig.backend.enqueue(Array(body[400...]) + Array("surplus".utf8))
        if closesAtOnce { rig.backend.vanish() }
        rig.exchange()
        expectDelivered(rig, body, tls: tls)
    }

    @Test(arguments: [false, true], [false, true])
    func `a chunked body ends behind its trailers`(tls: Bool, closesAtOnce: Bool) throws {
        let body = Self.chunked
        for split in 1..<body.count {
            let rig = try RelayRig.answering(.chunked, tls: tls)
            rig.exchange(.backend, Array(body[..<split]))
            rig.backend.enqueue(Array(body[split...]) + Array("surplus".utf8))
            if closesAtOnce { rig.backend.vanish() }
            rig.exchange()
            expectDelivered(rig, body, tls: tls)
        }
    }

    @Test(arguments: [false, true])
    func `a body without a length ends with its connection`(tls: Bool) throws {
        let rig = try RelayRig.answering(.untilClose, tls: tls)
        let body = [UInt8](repeating: 0x42, count: 120_000)
        rig.exchange(.backend, body)
        #expect(!rig.client.hasEnded)
        rig.backend.vanish()
        rig.exchange()
        expectDelivered(rig, body, tls: tls)
    }

    @Test(arguments: [BodyFraming.none, .length(0)], [false, true])
    func `an empty body is over at once`(framing: BodyFraming, tls: Bool) throws {
        let rig = try RelayRig.answering(framing, tls: tls)
        rig.exchange()
        expectDelivered(rig, [], tls: tls)
    }

    @Test(arguments: [BodyFraming.length(1_000), .chunked], [false, true])
    func `a body cut short does not look whole`(framing: BodyFraming, tls: Bool) throws {
        let rig = try RelayRig.answering(framing, tls: tls)
        let part = Array("5\r\nhel".utf8)
        rig.backend.enqueue(part)
        rig.backend.vanish()
        rig.exchange()
        #expect(rig.client.received == part)
        #expect(rig.client.hasEnded)
        #expect(!rig.client.wasClosedByNotify)
    }

    @Test(arguments: [false, true])
    func `a body whose chunks are broken does not look whole`(tls: Bool) throws {
        let rig = try RelayRig.answering(.chunked, tls: tls)
        rig.exchange(.backend, Array("5\r\nhello\r\nxyz\r\n".utf8))
        #expect(rig.client.received == Array("5\r\nhello\r\n".utf8))
        #expect(rig.client.hasEnded)
        #expect(!rig.client.wasClosedByNotify)
    }

    @Test(arguments: [false, true])
    func `a client that has stopped sending still gets its whole answer`(tls: Bool) throws {
        let rig = try RelayRig.answering(.length(6), tls: tls)
        rig.exchange(.backend, [1, 2, 3])
        rig.client.shutdown()
        rig.exchange()
        #expect(!rig.isEnded)
        rig.exchange(.backend, [4, 5, 6])
        #expect(rig.client.received == [1, 2, 3, 4, 5, 6])
        #expect(rig.client.hasEnded)
        #expect(rig.client.wasClosedByNotify == tls)
    }

    @Test(arguments: [false, true])
    func `a client that does not read holds the backend back`(tls: Bool) throws {
        let rig = try RelayRig.answering(.length(3_000_000), tls: tls)
        let body = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 11 >> 2) }
        rig.client.isDeaf = true
        rig.exchange(.backend, body)
        #expect(rig.backend.unsentCount > 1_000_000)
        #expect(rig.lentCount > 0 && rig.lentCountMax <= 8)
        rig.client.isDeaf = false
        rig.exchange()
        expectDelivered(rig, body, tls: tls)
    }

    @Test(arguments: [false, true])
    func `a client that goes ends the answer`(tls: Bool) throws {
        let rig = try RelayRig.answering(.untilClose, tls: tls)
        rig.exchange(.backend, [1, 2, 3])
        rig.client.vanish()
        rig.settle()
        rig.exchange(.backend, [UInt8](repeating: 0, count: 100_000))
        #expect(rig.backend.hasEnded)
        rig.backend.vanish()
        rig.settle()
        #expect(rig.isEnded)
        #expect(rig.lentCount == 0)
    }

    @Test func `what the client sends meanwhile goes nowhere`() throws {
        let rig = try RelayRig.answering(.length(4))
        rig.exchange(.client, Frames.client(.text, [1, 2, 3]))
        #expect(rig.backend.received == [])
        rig.exchange(.backend, [1, 2, 3, 4])
        expectDelivered(rig, [1, 2, 3, 4], tls: false)
        #expect(rig.backend.received == [])
    }

    @Test func `a drain leaves an answer alone`() throws {
        let rig = try RelayRig.answering(.length(4))
        rig.drain(code: 1001)
        rig.exchange(.backend, [1, 2, 3, 4])
        expectDelivered(rig, [1, 2, 3, 4], tls: false)
    }
}
