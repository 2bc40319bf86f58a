// SPDX-License-Identifier: Apache-2.0
import Config
import Foundation
import Glibc
import Health
import Issuers
import Ledger
import Log
import Naming
import Reactor
import TestKit
import Testing
import Traces
import Wire

@testable import Admin
@testable import Frontend
@testable import Service

/// What is answered to the wish to end relays where somebody who may have them does not answer.
struct EndedRelaysTests {
    /// A process whose reactors turn only where that is wanted.
    private final class Rig {
        let controller: Controller
        private let isTurning: Bool

        init(
            isTurning: Bool = true,
            before predecessors: Predecessors = Predecessors(parent: nil, older: [])
        ) throws {
            self.isTurning = isTurning
            let configuration = try Configuration.load(
                yaml: """
                    listen:
                      - address: "127.0.0.1:0"
                    routes:
                      - { path: /a, to: "ws://127.0.0.1:9" }
                    """, file: "s.yaml")
            let assembly = try Assembly(configuration)
            var plan = LogPlan()
            (plan.access, plan.events) = (.off, .off)
            let log = try LogWriter(plan)
            let frontend = try Frontend(
                listening: assembly.listeners, routing: assembly.routing,
                settings: assembly.settings, workers: 1, journal: log.journal)
            if isTurning { try frontend.start() }
            controller = try Controller(
                source: .fixed(configuration), configuration: configuration, assembly: assembly,
                frontend: frontend, names: try NameWatch(journal: log.journal),
                health: try HealthWatch(journal: log.journal), keys: KeyWatch(journal: log.journal),
                log: log, traces: try TraceExporter { _ in }, thread: try ControlThread(),
                store: ListenerStore(inherited: []), predecessors: predecessors, version: "test")
        }

        deinit {
            controller.frontend.cut()
            if isTurning { controller.frontend.wait() }
        }

        /// What `POST` is answered.
        func post(_ target: String, _ body: String = "") throws -> (status: Int, text: String) {
            let limits = HeadLimits(bytesMax: 2_000, fieldsMax: 10, targetBytesMax: 1_000)
            var parser = RequestHeadParser(limits: limits)
            let bytes = Array("POST \(target) HTTP/1.1\r\nHost: localhost\r\n\r\n".utf8)
            guard case .complete(let head, _) = bytes.withUnsafeBytes({ parser.append($0) }) else {
                throw PeerError("the head can't be read")
            }
            let answer = AdminDesk(controller: controller).answer(
                try AdminRequest(head, body: Data(body.utf8)))
            return (answer.status, String(decoding: answer.body, as: UTF8.self))
        }
    }

    private static let all = "{\"client\":\"127.0.0.1\"}"

    @Test func aReactorThatDoesNotTurnIsToldOf() throws {
        let rig = try Rig(isTurning: false)
        let one = try rig.post("/relays/0-0-1/close")
        #expect(one.status == 503 && one.text.contains("reactor did not answer"), "\(one)")
        let all = try rig.post("/relays/close", Self.all)
        #expect(all.status == 503 && all.text.contains("A reactor did not answer"), "\(all)")
    }

    @Test func aReactorOfAProcessBeforeThatDoesNotTurnIsToldOf() throws {
        let old = try Rig(isTurning: false)
        let (own, other) = try MessageSocket.pair()
        old.controller.serve(other)
        let mark = ProcessMark(of: getppid())
        let rig = try Rig(before: Predecessors(parent: nil, older: [Predecessor(mark, own)]))
        let words = "Process \(mark.process), which has served before this one, still drains"
        for said in try [rig.post("/relays/0-0-1/close"), rig.post("/relays/close", Self.all)] {
            #expect(said.status == 503 && said.text.contains(words), "\(said)")
        }
        own.end()
    }

    @Test func severalThatDoNotAnswerAreToldOfTogether() throws {
        let first = ProcessMark(of: getpid())
        let second = ProcessMark(of: getppid())
        let rig = try Rig(
            before: Predecessors(
                parent: Predecessor(first, nil), older: [Predecessor(second, nil)]))
        let words =
            "Processes \(first.process) and \(second.process), which have served before this one,"
            + " still drain sockets and did not answer: they may go on until they end."
        let one = try rig.post("/relays/0-0-1/close")
        #expect(one.status == 503 && one.text.contains(words), "\(one)")
        let all = try rig.post("/relays/close", Self.all)
        #expect(
            all.status == 503 && all.text.contains("0 relays were told 1008. \(words)"), "\(all)")
    }

    @Test func whatOthersWereToldIsCountedWhereOneIsSilent() throws {
        let (own, other) = try MessageSocket.pair()
        let mark = ProcessMark(of: getppid())
        let rig = try Rig(
            before: Predecessors(
                parent: Predecessor(ProcessMark(of: getpid()), nil), older: [Predecessor(mark, own)]
            ))
        let answering = TestThread {
            guard case .message(let bytes, _) = other.receive(withinMilliseconds: 20_000),
                case .end(_, let number)? = MoveMessage(bytes)
            else { return false }
            let message = MoveMessage.ended(.told(3), number: number)
            return other.send(message.bytes, withinMilliseconds: 10_000)
        }
        let said = try rig.post("/relays/close", Self.all)
        #expect(try answering.join())
        let words = "3 relays were told 1008. Process \(getpid()), which has served"
        #expect(said.status == 503 && said.text.contains(words), "\(said)")
    }

    @Test func oneThatIsNotReadByItsAskerGoesOnServing() throws {
        let old = try Rig()
        let (own, other) = try MessageSocket.pair()
        old.controller.serve(other)
        // A message that says nothing is passed over, and so is what has no answer here.
        for bytes in [Array("x".utf8), MoveMessage.hello.bytes, MoveMessage.finished.bytes] {
            #expect(own.send(bytes, withinMilliseconds: 1_000))
        }
        let errand = MoveMessage.end(.one("0-0-1", code: 1000), number: 9)
        #expect(own.send(errand.bytes, withinMilliseconds: 1_000))
        guard case .message(let bytes, _) = own.receive(withinMilliseconds: 20_000) else {
            Issue.record("nothing was answered")
            return
        }
        #expect(MoveMessage(bytes) == .ended(.told(0), number: 9))
        own.end()
    }
}
