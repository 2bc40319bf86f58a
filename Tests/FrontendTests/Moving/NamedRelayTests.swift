// SPDX-License-Identifier: Apache-2.0
import Glibc
import Ledger
import Reactor
import Serialization
import Splice
import Synchronization
import Testing
import Wire

@testable import Frontend

/// Goal: a relay whose name was told is found by it wherever it is, and nobody is found by the name of one that is gone.
struct NamedRelayTests {
    private static func rig(named: Bool = true) throws -> FrontendRig {
        var settings = FrontendSettings()
        settings.settleMilliseconds = 60_000
        return try FrontendRig(
            workers: 2, settings: settings,
            requestFields: named
                ? FieldEdits(set: [.init(name: "X-Relay", value: [.told(.relay)])]) : FieldEdits())
    }

    /// Where the relay of a name is; nil where it is nowhere.
    private static func place(_ name: RelayName, _ frontend: Frontend) -> RelayID? {
        if case .asked(let id) = frontend.reach(.name(name), { Optional($0) }) { return id }
        return nil
    }

    private static func names(_ frontend: Frontend) -> [RelayName] {
        frontend.relays(RelayFilter(), countMax: 100).map(\.name)
    }

    @Test func `a name is 16 digits, and nothing else is one`() {
        #expect(RelayName(bits: 0x3f9c).description == "0000000000003f9c")
        #expect(RelayName("0000000000003f9c") == RelayName(bits: 0x3f9c))
        #expect(RelayName("ffffffffffffffff") == RelayName(bits: .max))
        #expect(RelayName.none.description.isEmpty)
        for text in [
            "", "3f9c", "0000000000000000", "0000000000003F9C", "00000000000003f9c",
            "+000000000003f9c",
            "000000000000 f9c", "0-12-3",
        ] {
            #expect(RelayName(text) == nil, "\(text)")
        }
        #expect(RelayReference("0-12-3").map { "\($0)" } == "0-12-3")
        #expect(RelayReference("0000000000003f9c") == .name(RelayName(bits: 0x3f9c)))
        #expect(RelayReference("x") == nil)
    }

    @Test func `relays are found by their names in whichever reactor, until they end`() throws {
        let rig = try Self.rig()
        let visitors = try (0..<6).map { _ in try rig.visitor() }
        for visitor in visitors { #expect(try visitor.upgrade(path: "/a").status == 101) }
        let names = Self.names(rig.frontend)
        #expect(Set(names).count == 6 && !names.contains(.none))
        for reactor in [1, 0, 1] {
            try MovingTests.move(rig.frontend, to: reactor)
            #expect(names.allSatisfy { Self.place($0, rig.frontend)?.worker == reactor })
        }
        #expect(Set(Self.names(rig.frontend)) == Set(names))
        #expect(Self.place(RelayName(bits: 1), rig.frontend) == nil)
        for visitor in visitors {
            try visitor.sendFrame(.close, [0x03, 0xE8])
            #expect(try visitor.receiveFrame().payload == [0x03, 0xE8])
            _ = try visitor.receiveToEnd()
        }
        let records = try rig.notebook.next(6)
        #expect(Set(records.map(\.relayName)) == Set(names))
        #expect(names.allSatisfy { Self.place($0, rig.frontend) == nil })
    }

    @Test func `a relay that nobody has told a name has none`() throws {
        let rig = try Self.rig(named: false)
        let visitor = try rig.visitor()
        #expect(try visitor.upgrade(path: "/a").status == 101)
        try MovingTests.move(rig.frontend)
        #expect(Self.names(rig.frontend) == [.none])
        #expect(Self.place(.none, rig.frontend) == nil)
    }

    @Test func `a name comes back with a relay that was refused, and is lost to an older build`()
        throws
    {
        let rig = try Self.rig()
        let visitor = try rig.visitor()
        #expect(try visitor.upgrade(path: "/a").status == 101)
        let name = try #require(Self.names(rig.frontend).first)
        let answers = try MoveAnswers()
        func out() throws -> RelayInTransit {
            let reactor = try #require((0..<2).first { rig.frontend.crew.loads[$0].count == 1 })
            let out = try #require(
                rig.frontend.moveOut(MoveOrder(), of: reactor, from: 0, answers))
            return try #require(out.relays.first)
        }
        let refused = try out()
        #expect(Self.place(name, rig.frontend) == nil)
        #expect(rig.frontend.takeBack([refused], wasRefused: true, answers) == [.taken])
        #expect(Self.place(name, rig.frontend) != nil)
        // A build that knows of no names has read and written it.
        let relay = try out()
        let older = relay.withImage { image in
            var writer = FieldWriter()
            var at = 0
            while at < image.count {
                let mark = UInt16(
                    littleEndian: image.loadUnaligned(fromByteOffset: at, as: UInt16.self))
                let length = UInt32(
                    littleEndian: image.loadUnaligned(fromByteOffset: at + 2, as: UInt32.self))
                let field = at..<(at + 6 + Int(length))
                if mark & 0x7FFF == RelayImage.Number.name {
                    #expect(mark & 0x8000 == 0, "an older build would refuse it")
                } else {
                    writer.append(UnsafeRawBufferPointer(rebasing: image[field]))
                }
                at = field.upperBound
            }
            return writer.withBytes {
                RelayInTransit(
                    image: $0, client: dup(relay.descriptors.client),
                    backend: dup(relay.descriptors.backend), place: nil)
            }
        }
        #expect(rig.frontend.takeOver([older], answers) == [.taken])
        #expect(try visitor.echoes("still here"))
        #expect(Self.names(rig.frontend) == [.none])
        #expect(Self.place(name, rig.frontend) == nil)
    }

    @Test func `relays are reached by their names while they go from reactor to reactor`() throws {
        let rig = try Self.rig()
        let visitors = try (0..<4).map { _ in try rig.visitor() }
        for visitor in visitors { #expect(try visitor.upgrade(path: "/a").status == 101) }
        let names = Self.names(rig.frontend)
        let frontend = rig.frontend
        let mover = try Mover(frontend)
        for round in 0..<400 {
            let reached = frontend.reach(.name(names[round % names.count])) { id -> Bool? in
                if case .noRelay? = frontend.extend(id, by: .seconds(5)) { return nil }
                return true
            }
            guard case .asked = reached else {
                Issue.record("\(reached)")
                break
            }
        }
        #expect(mover.stop() > 0)
        for visitor in visitors { #expect(try visitor.echoes("still here")) }
    }
}

/// Moves all relays from one reactor to the other and back, as a rebalance does, until it is stopped.
private final class Mover: Sendable {
    private let isOver = Atomic(false)
    private let moves = Atomic(0)
    private let thread = Mutex<ReactorThread?>(nil)

    init(_ frontend: Frontend) throws {
        let started = try ReactorThread.start(name: "mover") { [self] in
            while !isOver.load(ordering: .relaxed) {
                frontend.crew.handing.withLock { _ in
                    if (try? MovingTests.move(frontend)) != nil {
                        moves.wrappingAdd(1, ordering: .relaxed)
                    }
                }
            }
        }
        thread.withLock { $0 = started }
    }

    /// How often all were moved.
    func stop() -> Int {
        isOver.store(true, ordering: .relaxed)
        thread.withLock { $0 }?.join()
        return moves.load(ordering: .relaxed)
    }
}
