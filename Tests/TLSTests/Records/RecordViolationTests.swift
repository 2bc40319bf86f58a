// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import TestKit
import Testing

@testable import TLS

/// Goal: whatever a peer that knows its keys seals, the rules of RFC 8446 hold, and nothing traps.
@Suite(.eachEngine, .namingEngine)
struct RecordViolationTests {
    private let pair: MemoryPair
    private let forger: Forger

    init() throws {
        let identities = try Identities.shared()
        pair = MemoryPair(try identities.store([identities.local]), client: try client())
        #expect(pair.handshake() == (.done, .done))
        forger = try Forger(pair.client)
        try #require(pair.server.release() == .released)
    }

    /// What the server makes of a wire: its plaintext, and the alert that it answers.
    private func answer(_ wire: [UInt8]) throws -> (plain: [UInt8], alert: [UInt8]) {
        let read = pair.server.read(wire)
        #expect(read.status == .failed)
        let records = try forger.open(pair.server.output())
        #expect(records.count <= 1)
        #expect(pair.server.seal([1]) == [], "nothing follows a fatal alert")
        #expect(pair.server.close() == [])
        #expect(pair.server.read(wire).status == .failed, "and nothing more is read")
        return (read.plain, records.first ?? [])
    }

    private func alert(_ number: UInt8) -> [UInt8] { [2, number, 21] }

    struct Case: CustomTestStringConvertible {
        let name: String
        let type: UInt8
        let plain: [UInt8]
        let padding: Int
        let alert: UInt8

        init(
            _ name: String, _ type: UInt8, _ plain: [UInt8], padding: Int = 0, _ alert: UInt8
        ) {
            self.name = name
            self.type = type
            self.plain = plain
            self.padding = padding
            self.alert = alert
        }

        var testDescription: String { name }
    }

    static let cases = [
        Case("nothing but padding", 0, [0, 0, 0], 10),
        Case("change_cipher_spec within", 20, [1], 10),
        Case("heartbeat", 24, [1, 0, 0], 10),
        Case("an unknown type", 99, [1], 10),
        // RFC 8446 §5.4: neither has a record without content.
        Case("a message without a byte", 22, [], 10),
        Case("an alert without a byte", 21, [], 10),
        Case("a message of padding", 22, [], padding: 9, 10),
        Case("an alert of padding", 21, [], padding: 9, 10),
        Case("a ClientHello", 22, [1, 0, 0, 0], 10),
        Case("a ticket of the client's", 22, [4, 0, 0, 1, 0], 10),
        Case("a Finished", 22, [20, 0, 0, 1, 0], 10),
        Case("a KeyUpdate of two bytes", 22, [24, 0, 0, 2, 0], 50),
        Case("a KeyUpdate of a size", 22, [24, 1, 0, 1, 0], 50),
        Case("a KeyUpdate that wants 2", 22, [24, 0, 0, 1, 2], 47),
        Case("a KeyUpdate of two bytes, whole", 22, [24, 0, 0, 2, 0, 0], 50),
        Case("a KeyUpdate of none", 22, [24, 0, 0, 0], 50),
        Case("a KeyUpdate of 65,536 bytes", 22, [24, 1, 0, 0] + zeros(9), 50),
        Case("a KeyUpdate of 16,000 bytes, whole", 22, [24, 0, 0x3E, 0x80] + zeros(16_000), 50),
        Case("a KeyUpdate that wants 255", 22, [24, 0, 0, 1, 255], 47),
        // RFC 8446 §5.1: what comes before new keys ends its record.
        Case("a KeyUpdate with a byte behind", 22, [24, 0, 0, 1, 0, 24], 10),
        Case("two KeyUpdates in a record", 22, [24, 0, 0, 1, 0, 24, 0, 0, 1, 0], 10),
        Case("a KeyUpdate and a ticket", 22, [24, 0, 0, 1, 0, 4, 0, 0, 1, 0], 10),
        Case("a ticket as servers send it", 22, [4, 0, 0, 13] + zeros(13), 10),
        // RFC 8446 §4.6.2: only servers ask for certificates, and nobody sends one unasked.
        Case("a CertificateRequest", 22, [13, 0, 0, 3, 0, 0, 0], 10),
        Case("a Certificate that nobody asked for", 22, [11, 0, 0, 4, 0, 0, 0, 0], 10),
        Case("an EndOfEarlyData", 22, [5, 0, 0, 0], 10),
        Case("a HelloRequest of old", 22, [0, 0, 0, 0], 10),
        Case("a message of no known type", 22, [99, 0, 0, 0], 10),
        Case("half an alert", 21, [1], 50),
        Case("an alert with a byte behind", 21, [1, 0, 0], 50),
        Case("two alerts in a record", 21, [1, 90, 1, 0], 50),
        Case("more than 2^14 bytes", 23, [UInt8](repeating: 7, count: 16_385), 22),
        // RFC 8446 §5.4: padding counts.
        Case("more than 2^14 bytes of content and padding", 23, [7], padding: 16_384, 22),
    ]

    private static func zeros(_ count: Int) -> [UInt8] { [UInt8](repeating: 0, count: count) }

    /// RFC 8446 §6.2: every alert but these is an error, whatever its level and whether known or not.
    @Test(
        arguments: [UInt8](1...255).filter {
            $0 != 90 && ($0 < 12 || $0 % 16 == 0 || $0 > 250)
        }, [UInt8(1), 2, 7])
    func `an alert that tells of an error ends the session unanswered`(
        number: UInt8, level: UInt8
    ) throws {
        let read = pair.server.read(
            try forger.seal(23, [1]) + forger.seal(21, [level, number]) + forger.seal(23, [2]))
        #expect(read.plain == [1])
        #expect(read.status == .failed)
        #expect(pair.server.output() == [])
        #expect(pair.server.reasons == ["alert of the peer"])
        #expect(pair.server.seal([1]) == [])
        #expect(pair.server.close() == [])
    }

    /// RFC 8446 §6.1: what comes behind close_notify is ignored, and the other direction goes on.
    @Test func `data behind close_notify, and a second one, are not read`() throws {
        let wire =
            try forger.seal(23, [1]) + forger.seal(21, [2, 0]) + forger.seal(23, [2])
            + forger.seal(21, [1, 0])
        let read = pair.server.read(wire)
        #expect(read.plain == [1])
        #expect(read.status == .closed)
        for more in [
            try forger.seal(23, [3]), [22, 3, 3, 0, 1, 0], [UInt8](repeating: 9, count: 99),
        ] {
            let late = pair.server.read(more)
            #expect(late.plain == [] && late.status == .closed)
        }
        #expect(try forger.open(pair.server.seal([4])) == [[4, 23]])
        #expect(try forger.open(pair.server.close()) == [[1, 0, 21]])
        #expect(pair.server.close() == [])
    }

    @Test func `half a record behind close_notify is forgotten`() throws {
        let wire = try forger.seal(21, [1, 0]) + forger.seal(23, [1, 2, 3]).prefix(9)
        #expect(pair.server.read(wire).status == .closed)
        #expect(pair.server.layer?.pointee.part == nil)
        #expect(pair.server.read([1]).status == .closed)
    }

    /// RFC 8446 §4.6.3: who has said close_notify still reads, but has nothing to announce.
    @Test func `new keys of a peer that we have closed are taken, and not answered`() throws {
        #expect(try forger.open(pair.server.close()) == [[1, 0, 21]])
        #expect(pair.server.read(try forger.seal(22, [24, 0, 0, 1, 1])).status == .open)
        forger.updateSealing()
        #expect(pair.server.read(try forger.seal(23, [5])).plain == [5])
        #expect(pair.server.output() == [])
    }

    /// RFC 8446 §5.1: records without data may be of application data alone.
    @Test func `records of application data may be empty or nothing but padding`() throws {
        let wire =
            try forger.seal(23, []) + forger.seal(0, [23, 0, 0]) + forger.seal(23, [1])
        let read = pair.server.read(wire)
        #expect(read.plain == [1] && read.status == .open)
    }

    @Test func `content and padding may fill a record to its last byte`() throws {
        // With the type, 2^14 + 1 bytes.
        let full = [7, 23] + [UInt8](repeating: 0, count: 16_382)
        #expect(pair.server.read(try forger.seal(0, full)).plain == [7])
        let content = [UInt8](repeating: 7, count: 16_384)
        #expect(pair.server.read(try forger.seal(23, content)).plain == content)
    }

    /// RFC 8446 §5.1: the version in a record's header says nothing.
    @Test(arguments: [[UInt8(3), 1], [3, 4], [0, 0], [255, 255]])
    func `the version of a record is not looked at, but it is sealed too`(version: [UInt8]) throws {
        var wire = try forger.seal(23, [1])
        wire.replaceSubrange(1...2, with: version)
        // It is among what the tag protects: changed on the way, it is not what was sent.
        #expect(try answer(wire).alert == alert(20))
    }

    @Test(arguments: cases)
    func `what is sealed against the rules gets its alert`(_ one: Case) throws {
        let first = try forger.seal(23, [1, 2, 3])
        let padded = one.plain + [one.type] + [UInt8](repeating: 0, count: one.padding)
        // The last byte stands where the type does otherwise.
        let record = try forger.seal(padded[padded.count - 1], Array(padded.dropLast()))
        let got = try answer(first + record)
        #expect(got.plain == [1, 2, 3])
        #expect(got.alert == alert(one.alert))
    }

    @Test(arguments: [UInt8(20), 21, 22, 24, 0])
    func `a record of another outer type gets unexpected_message`(type: UInt8) throws {
        var wire = try forger.seal(23, [1])
        wire[0] = type
        #expect(try answer(wire).alert == alert(10))
    }

    @Test func `a record that is too long gets record_overflow before its body comes`() throws {
        #expect(try answer([23, 3, 3, 0x41, 0x01]).alert == alert(22))
    }

    @Test(arguments: [0, 1, 16])
    func `a record without room for type and tag gets bad_record_mac`(length: Int) throws {
        let wire = [23, 3, 3, 0, UInt8(length)] + [UInt8](repeating: 1, count: length)
        #expect(try answer(wire).alert == alert(20))
    }

    @Test func `a changed byte anywhere in body or tag gets bad_record_mac`() throws {
        let length = try forger.seal(23, [1, 2, 3]).count
        for at in 5..<length {
            let fresh = try RecordViolationTests()
            var wire = try fresh.forger.seal(23, [1, 2, 3])
            wire[at] ^= 0x40
            let got = try fresh.answer(wire)
            #expect(got.alert == alert(20), "byte \(at)")
            #expect(got.plain == [])
        }
    }

    @Test func `a record that comes twice gets bad_record_mac`() throws {
        let wire = try forger.seal(23, [1])
        let got = try answer(wire + wire)
        #expect(got.plain == [1])
        #expect(got.alert == alert(20))
    }

    @Test func `a KeyUpdate in pieces is taken`() throws {
        var wire: [UInt8] = []
        for byte: UInt8 in [24, 0, 0, 1, 0] { wire += try forger.seal(22, [byte]) }
        #expect(pair.server.read(wire).status == .open)
        forger.updateSealing()
        #expect(pair.server.read(try forger.seal(23, [5])).plain == [5])
    }

    @Test func `a KeyUpdate in pieces is not to be interrupted`() throws {
        let wire = try forger.seal(22, [24, 0]) + forger.seal(23, [1])
        #expect(try answer(wire).alert == alert(10))
    }

    @Test func `the peer's fatal alert is not answered`() throws {
        let got = try answer(try forger.seal(21, [2, 80]))
        #expect(got.alert == [])
        #expect(pair.server.reasons == ["alert of the peer"])
    }

    @Test func `user_canceled waits for its close_notify`() throws {
        #expect(pair.server.read(try forger.seal(21, [1, 90])).status == .open)
        #expect(pair.server.read(try forger.seal(21, [1, 0])).status == .closed)
    }

    @Test func `padding is taken off`() throws {
        let read = pair.server.read(
            try forger.seal(0, [1, 2, 23] + [UInt8](repeating: 0, count: 99)))
        #expect(read.plain == [1, 2])
        #expect(read.status == .open)
    }

    @Test func `a flood of records without data ends the session`() throws {
        var sent = 0
        var status = ReadOutcome.Status.open
        while status == .open && sent < 1_000 {
            status = pair.server.read(try forger.seal(23, [])).status
            sent += 1
        }
        #expect(status == .failed)
        #expect(sent > 32 && sent < 100, "\(sent) were tolerated")
        #expect(try forger.open(pair.server.output()) == [alert(10)])
    }

    @Test func `several wishes for new keys in one turn get one answer`() throws {
        var wire: [UInt8] = []
        for _ in 0..<5 {
            wire += try forger.seal(22, [24, 0, 0, 1, 1])
            forger.updateSealing()
        }
        #expect(pair.server.read(wire).status == .open)
        #expect(try forger.open(pair.server.output()) == [[24, 0, 0, 1, 0, 22]])
        forger.updateOpening()
        #expect(try forger.open(pair.server.seal([8])) == [[8, 23]])
    }

    @Test func `random and mutated bytes never trap, and nothing forged gets through`() throws {
        var random = SplitMix(seed: 1)
        for round in 0..<400 {
            let fresh = try RecordViolationTests()
            var wire = try fresh.forger.seal(23, [1]) + fresh.forger.seal(23, [2, 3])
            if round % 2 == 0 {
                let at = Int.random(in: 0..<wire.count, using: &random)
                wire[at] ^= UInt8.random(in: 1...255, using: &random)
            } else {
                wire += (0..<Int.random(in: 1...80, using: &random)).map { _ in
                    UInt8.random(in: 0...255, using: &random)
                }
            }
            let cut = Int.random(in: 0...wire.count, using: &random)
            var plain = fresh.pair.server.read(Array(wire[..<cut])).plain
            plain += fresh.pair.server.read(Array(wire[cut...])).plain
            #expect([1, 2, 3].starts(with: plain))
        }
    }
}
