// SPDX-License-Identifier: Apache-2.0
import Glibc
import Ledger
import Reactor
import Serialization
import Splice
import Synchronization
import TLS
import TestKit
import Testing
import Wire

@testable import Frontend

/// Goal: a relay goes to another reactor at any moment of its life, and its peers notice nothing.
struct MovingTests {
    static func rig(
        secure: Bool = true, suites: String? = nil, bufferBytes: Int = 128 * 1_024,
        settings change: (inout FrontendSettings) -> Void = { _ in }
    ) throws -> FrontendRig {
        var settings = FrontendSettings()
        settings.settleMilliseconds = 60_000
        settings.relayBufferBytes = bufferBytes
        change(&settings)
        let store = try CertificateStore(
            [Certificates.shared().first.files],
            options: TLSServerOptions(minimumVersion: .tls12, cipherSuites: suites),
            tickets: try TicketKeys())
        return try FrontendRig(
            secure: secure, workers: 2, certificates: store, settings: settings)
    }

    @Test(
        arguments: [
            "plain", "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384",
            "TLS_CHACHA20_POLY1305_SHA256",
        ])
    func `messages of all sizes come back while the relays move all the time`(suite: String) throws
    {
        let rig = try Self.rig(
            secure: suite != "plain", suites: suite == "plain" ? nil : suite, bufferBytes: 16_384)
        let visitors = try (0..<6).map { _ in
            try rig.visitor(tls: suite == "plain" ? nil : Certificates.shared().first.client())
        }
        for visitor in visitors { #expect(try visitor.upgrade(path: "/a").status == 101) }
        let shuttle = try Shuttle(rig.frontend)
        var sizes = [1, 125, 126, 16_384, 65_535, 65_536, 300_000]
        for round in 0..<60 {
            sizes.append(sizes.removeFirst())
            let text = String(repeating: "\(round % 10)", count: sizes[0])
            for visitor in visitors { #expect(try visitor.echoes(text)) }
        }
        let (moved, outcomes) = shuttle.stop()
        #expect(moved > 60)
        #expect(outcomes == [:])
        // It ends as any other, and is one relay in the log from its beginning to its end.
        for visitor in visitors {
            try visitor.sendFrame(.close, [0x03, 0xE8])
            #expect(try visitor.receiveFrame().payload == [0x03, 0xE8])
            #expect(try visitor.receiveToEnd() == [])
            #expect(visitor.wasClosedByNotify == (suite != "plain"))
        }
        let records = try rig.notebook.next(visitors.count)
        #expect(records.allSatisfy { $0.up.messages == 60 && $0.down.messages == 60 })
        #expect(records.allSatisfy { $0.closeCode == 1000 && $0.reason == .close })
        // A record is written just before its connection is counted off.
        let deadline = Deadline.after()
        while rig.frontend.connectionCount > 0 && !deadline.hasPassed { usleep(1_000) }
        #expect(rig.frontend.connectionCount == 0)
    }

    @Test
    func `the lot for faults is drawn once, and what was done is known, however often it moves`()
        throws
    {
        let rig = try Self.rig(secure: false)
        let visitors = try (0..<40).map { _ in try rig.visitor() }
        for visitor in visitors { #expect(try visitor.upgrade(path: "/a").status == 101) }
        var rules = FaultRules()
        (rules.latencyMilliseconds, rules.share) = (1, FaultRules.certain / 2)
        #expect(
            rig.frontend.beginFaults(
                rules, routes: rig.frontend.served.routing.tallies.map(\.name),
                endMilliseconds: .max))
        for _ in 0..<10 {
            for visitor in visitors { #expect(try visitor.echoes("message")) }
            try Self.move(rig.frontend)
        }
        for visitor in visitors { try visitor.sendFrame(.close, [0x03, 0xE8]) }
        let drawn = try rig.notebook.next(visitors.count).filter { !$0.faults.isEmpty }.count
        // Of forty by a fair lot; drawn ten times, all would have had some.
        #expect((4...36).contains(drawn), "\(drawn) of 40")
    }

    @Test func `a relay moves within a record a header and a frame`() throws {
        let rig = try Self.rig()
        let visitor = try rig.visitor(tls: Certificates.shared().first.client())
        #expect(try visitor.upgrade(path: "/a").status == 101)
        #expect(try visitor.echoes("first"))
        let payload = [UInt8]((0..<70_000).map { UInt8(truncatingIfNeeded: $0) })
        let header = FrameHeader(opcode: .binary, payloadLength: 70_000, maskKey: 0).encoded()
        let frame = header + payload
        // Cut at every kind of place: within the header of the frame, behind it, within its payload; each piece is
        // a record of its own, cut within its header and within its body.
        var sent = 0
        for end in [1, 3, header.count - 1, header.count, header.count + 5, 20_000, frame.count] {
            var left: [UInt8] = []
            try visitor.send(Array(frame[sent..<end])) { records in
                left = records
                return []
            }
            for cut in [3, 5, 6, left.count - 1, left.count] where cut <= left.count {
                let before = left.count
                let piece = Array(left.prefix(max(0, cut - (before - left.count))))
                try visitor.send([]) { _ in piece }
                left.removeFirst(piece.count)
                try Self.move(rig.frontend)
                if left.isEmpty { break }
            }
            try visitor.send([]) { _ in left }
            sent = end
            try Self.move(rig.frontend)
        }
        let answer = try visitor.receiveFrame()
        #expect(answer.opcode == .binary)
        #expect(answer.payload == payload)
    }

    @Test func `a relay that this build does not understand stays where it is`() throws {
        let rig = try Self.rig(secure: false)
        let visitor = try rig.visitor()
        #expect(try visitor.upgrade(path: "/a").status == 101)
        let reactor = try #require((0..<2).first { rig.frontend.crew.loads[$0].count == 1 })
        let answers = try MoveAnswers()
        let out = try #require(rig.frontend.moveOut(MoveOrder(), of: reactor, from: 0, answers))
        let relay = try #require(out.relays.first)
        // A later build that keeps something without which the relay would be another one.
        let later = relay.withImage { image in
            var writer = FieldWriter()
            writer.append(image)
            writer.put(900, "something new")
            return writer.withBytes {
                RelayInTransit(
                    image: $0, client: dup(relay.descriptors.client),
                    backend: dup(relay.descriptors.backend), place: nil)
            }
        }
        let refused = rig.frontend.takeOver([later], answers)
        #expect(refused == [.refused("field 900 has to be known and is not")])
        // The same where such a field is deep within it: the relay is whole where it was, and goes on there.
        let deep = relay.withImage { image in
            withPart(RelayImage.Number.relay, of: image, with: { $0.put(902, 1) }) {
                RelayInTransit(
                    image: $0, client: dup(relay.descriptors.client),
                    backend: dup(relay.descriptors.backend), place: nil)
            }
        }
        #expect(
            rig.frontend.takeOver([deep], answers)
                == [.refused("field 902 has to be known and is not")])
        // A part without which it goes on may be of another build in whatever way.
        let spare = relay.withImage { image in
            withPart(RelayImage.Number.counted, of: image, with: { $0.put(903, 1) }) {
                RelayInTransit(
                    image: $0, client: dup(relay.descriptors.client),
                    backend: dup(relay.descriptors.backend), place: nil)
            }
        }
        #expect(rig.frontend.takeOver([spare], answers) == [.taken])
        #expect(try visitor.echoes("it has moved"))
    }

    @Test func `a field that may be left out is left out`() throws {
        let rig = try Self.rig(secure: false)
        let visitor = try rig.visitor()
        #expect(try visitor.upgrade(path: "/a").status == 101)
        let reactor = try #require((0..<2).first { rig.frontend.crew.loads[$0].count == 1 })
        let answers = try MoveAnswers()
        let out = try #require(rig.frontend.moveOut(MoveOrder(), of: reactor, from: 0, answers))
        let relay = try #require(out.relays.first)
        // What it may leave out is left out.
        let optional = relay.withImage { image in
            var writer = FieldWriter()
            writer.append(image)
            writer.put(901, "something new", isRequired: false)
            return writer.withBytes {
                RelayInTransit(
                    image: $0, client: dup(relay.descriptors.client),
                    backend: dup(relay.descriptors.backend), place: nil)
            }
        }
        #expect(rig.frontend.takeOver([optional], answers) == [.taken])
        #expect(try visitor.echoes("it goes on"))
    }

    @Test func `an image that is cut or changed is refused or lost and traps nobody`() throws {
        let rig = try Self.rig()
        let visitor = try rig.visitor(tls: Certificates.shared().first.client())
        #expect(try visitor.upgrade(path: "/a").status == 101)
        let reactor = try #require((0..<2).first { rig.frontend.crew.loads[$0].count == 1 })
        let answers = try MoveAnswers()
        let out = try #require(rig.frontend.moveOut(MoveOrder(), of: reactor, from: 0, answers))
        let relay = try #require(out.relays.first)
        let image = relay.withImage { [UInt8]($0) }
        var refused = 0
        for index in 0..<image.count {
            var changed = image
            if index % 2 == 0 { changed[index] ^= 0xFF } else { changed = Array(image[..<index]) }
            let pair = try Socket.pair().handOver()
            let broken = changed.withUnsafeBytes {
                RelayInTransit(image: $0, client: pair.first, backend: pair.second, place: nil)
            }
            if rig.frontend.takeOver([broken], answers) != [.taken] { refused += 1 }
        }
        #expect(refused > image.count / 2)
        #expect(rig.frontend.takeBack([relay], answers) == [.taken])
        #expect(try visitor.echoes("still here"))
    }

    @Test func `reactors are made even`() throws {
        let rig = try Self.rig(secure: false)
        let visitors = try (0..<40).map { _ in try rig.visitor() }
        for visitor in visitors { #expect(try visitor.upgrade(path: "/a").status == 101) }
        try Self.move(rig.frontend, to: 1)
        #expect(rig.frontend.crew.loads.map(\.count) == [0, 40])
        let balance = try rig.frontend.balanceReactors()
        #expect(
            balance
                == Frontend.ReactorBalance(before: [0, 40], after: [20, 20], moved: 20, lost: 0))
        for visitor in visitors { #expect(try visitor.echoes("here")) }
    }

    /// An image in which a part has further fields.
    private func withPart<Outcome>(
        _ number: UInt16, of image: UnsafeRawBufferPointer,
        with more: (inout FieldWriter) -> Void, _ use: (UnsafeRawBufferPointer) -> Outcome
    ) -> Outcome {
        var writer = FieldWriter()
        var at = 0
        while at < image.count {
            let mark = UInt16(
                littleEndian: image.loadUnaligned(fromByteOffset: at, as: UInt16.self))
            let length = UInt32(
                littleEndian: image.loadUnaligned(fromByteOffset: at + 2, as: UInt32.self))
            let value = UnsafeRawBufferPointer(rebasing: image[(at + 6)..<(at + 6 + Int(length))])
            let isRequired = mark & 0x8000 != 0
            writer.part(mark & 0x7FFF, isRequired: isRequired) { part in
                part.append(value)
                if mark & 0x7FFF == number { more(&part) }
            }
            at += 6 + Int(length)
        }
        return writer.withBytes(use)
    }

    /// Moves all relays to the other reactor, or to one.
    ///
    /// - Returns: how many bytes of images there were beyond 4 KiB each.
    @discardableResult
    static func move(_ frontend: Frontend, to only: Int? = nil) throws -> Int {
        var extra = 0
        let answers = try MoveAnswers()
        var moved: [(relay: RelayInTransit, to: Int)] = []
        for reactor in 0..<2 where reactor != only {
            var position: Int? = 0
            while let first = position {
                let out = try #require(
                    frontend.moveOut(MoveOrder(), of: reactor, from: first, answers))
                moved += out.relays.map { ($0, 1 - reactor) }
                position = out.next
            }
        }
        for (relay, reactor) in moved {
            extra += max(0, relay.byteCount - 4_096)
            #expect(frontend.hand([relay], to: reactor, answers) == [.taken])
        }
        return extra
    }
}

/// Moves all relays from reactor to reactor until it is stopped.
final class Shuttle: Sendable {
    private let isOver = Atomic(false)
    private let moved = Atomic<Int>(0)
    private let failures = Mutex<[String: Int]>([:])
    private let thread = Mutex<ReactorThread?>(nil)
    private let answers: MoveAnswers

    init(_ frontend: Frontend) throws {
        answers = try MoveAnswers()
        let started = try ReactorThread.start(name: "shuttle") { [self] in
            while !isOver.load(ordering: .relaxed) { turn(frontend) }
        }
        thread.withLock { $0 = started }
    }

    private func turn(_ frontend: Frontend) {
        for reactor in 0..<2 {
            guard let out = frontend.moveOut(MoveOrder(), of: reactor, from: 0, answers) else {
                failures.withLock { $0["no answer", default: 0] += 1 }
                continue
            }
            for outcome in frontend.hand(out.relays, to: 1 - reactor, answers) {
                if outcome == .taken {
                    moved.wrappingAdd(1, ordering: .relaxed)
                } else {
                    failures.withLock { $0["\(outcome)", default: 0] += 1 }
                }
            }
        }
    }

    /// How many were moved, and what else became of some.
    func stop() -> (moved: Int, failures: [String: Int]) {
        isOver.store(true, ordering: .relaxed)
        thread.withLock { $0 }?.join()
        return (moved.load(ordering: .relaxed), failures.withLock { $0 })
    }
}
