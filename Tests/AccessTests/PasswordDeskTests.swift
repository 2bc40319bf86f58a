// SPDX-License-Identifier: Apache-2.0
import Reactor
import Synchronization
import TestKit
import Testing

@testable import Access

/// Passwords that are hashed beside those who ask: told once each, and bounded in number.
struct PasswordDeskTests {
    private let desk = PasswordDesk()
    private let list: PasswordList

    init() throws {
        list = try PasswordList(Array("ann:\(PasswordListTests.abc)".utf8))
    }

    private func question(_ password: String) -> PasswordQuestion {
        list.question(user: Array("ann".utf8), password: Array(password.utf8))
    }

    @Test func `each who asks is told, and those who ask the same are told of one hash`() throws {
        let told = Monitor<[PasswordVerdict]>([])
        for _ in 0..<20 {
            for password in ["abc", "abd"] {
                let outcome = desk.ask(question(password), for: .loopback(port: 9)) { verdict in
                    told.update { $0.append(verdict) }
                }
                #expect(outcome == .taken)
            }
        }
        let all = try told.wait(for: "40 answers") { $0.count == 40 }
        #expect(all.count { $0 == .right } == 20 && all.count { $0 == .wrong } == 20)
        try eventually { desk.count == 0 }
    }

    @Test func `as many wait as may, of one client and of all`() throws {
        // The thread stands still in the first answer, so that the others wait.
        let gate = Monitor(false)
        let isThere = Monitor(false)
        let told = Monitor(0)
        let first = desk.ask(question("first"), for: .loopback(port: 1)) { _ in
            isThere.update { $0 = true }
            _ = try? gate.wait(for: "the test") { $0 }
        }
        #expect(first == .taken)
        try isThere.wait(for: "the first answer") { $0 }
        func ask(_ password: String, _ client: Address) -> PasswordDesk.Outcome {
            desk.ask(question(password), for: client) { _ in told.update { $0 += 1 } }
        }
        let network = { (host: UInt64) in Address.ipv6(high: 1 << 32, low: host, port: 7) }
        for number in 0..<PasswordDesk.waitingOfClientMax {
            #expect(ask("of one \(number)", network(UInt64(number))) == .taken)
        }
        #expect(ask("one more", network(99)) == .clientHasTooMany)
        // Who asks what is asked already needs no further hash.
        #expect(ask("of one 0", network(99)) == .taken)
        var taken = PasswordDesk.waitingOfClientMax
        while taken < PasswordDesk.waitingMax {
            #expect(ask("other \(taken)", .ipv4(10, 0, UInt8(taken / 8), 1, port: 7)) == .taken)
            taken += 1
        }
        #expect(ask("another", .ipv4(10, 1, 0, 1, port: 7)) == .full)
        #expect(desk.count == PasswordDesk.waitingMax)
        gate.update { $0 = true }
        try told.wait(for: "all answers", by: .after(.seconds(300))) { $0 == taken + 1 }
        try eventually { desk.count == 0 }
        #expect(ask("one more", network(99)) == .taken)
    }

    @Test func `clients take turns, however many passwords one of them has waiting`() throws {
        let gate = Monitor(false)
        let isThere = Monitor(false)
        let told = Monitor<[String]>([])
        _ = desk.ask(question("first"), for: .loopback(port: 1)) { _ in
            isThere.update { $0 = true }
            _ = try? gate.wait(for: "the test") { $0 }
        }
        try isThere.wait(for: "the first answer") { $0 }
        for (password, host) in [("a1", 1), ("a2", 1), ("a3", 1), ("b1", 2), ("b2", 2), ("c1", 3)] {
            let client = Address.ipv4(10, 0, 0, UInt8(host), port: 7)
            let outcome = desk.ask(question(password), for: client) { _ in
                told.update { $0.append(password) }
            }
            #expect(outcome == .taken)
        }
        gate.update { $0 = true }
        let order = try told.wait(for: "all answers") { $0.count == 6 }
        #expect(order == ["a1", "b1", "c1", "a2", "b2", "a3"])
    }

    @Test func `where no thread can be started, each is told once`() {
        let told = Mutex<[String]>([])
        let joins = Mutex<(@Sendable () -> Void)?>(nil)
        let desk = PasswordDesk { _ in
            joins.withLock { $0 }?()
            return false
        }
        let (same, other) = (question("same"), question("other"))
        joins.withLock {
            $0 = { [weak desk] in
                for (name, question) in [("joiner", same), ("other", other)] {
                    let outcome = desk?.ask(question, for: .loopback(port: 2)) { verdict in
                        told.withLock { $0.append("\(name) \(verdict)") }
                    }
                    #expect(outcome == .taken)
                }
            }
        }
        let outcome = desk.ask(same, for: .loopback(port: 1)) { verdict in
            told.withLock { $0.append("own \(verdict)") }
        }
        #expect(outcome == .noThread)
        #expect(told.withLock { $0.sorted() } == ["joiner unknown", "other unknown"])
        #expect(desk.count == 0)
    }

    private func eventually(_ isTrue: () -> Bool) throws {
        let deadline = Deadline.after()
        while !isTrue() { if deadline.hasPassed { throw PeerError("it has not come true") } }
    }
}
