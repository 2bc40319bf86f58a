// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import Testing

@testable import TLS

/// Session tickets: under which keys they open, and how many there are.
struct TicketKeysTests {
    let identities: Identities

    init() throws { identities = try Identities.shared() }

    private static let period = 3_600

    @Test func `a key seals for its period and opens for one more`() throws {
        let start = TicketKeys.nowSeconds()
        let keys = try TicketKeys(sealingSeconds: Self.period)
        let first = try #require(keys.sealingKey(nowSeconds: start))
        #expect(keys.sealingKey(nowSeconds: start + Self.period - 1)?.name == first.name)
        #expect(keys.openingKey(name: first.name, nowSeconds: start)?.isCurrent == true)
        // Its time is over, though nobody has asked for a new key yet.
        #expect(
            keys.openingKey(name: first.name, nowSeconds: first.madeAtSeconds + Self.period)?
                .isCurrent == false)
        let second = try #require(
            keys.sealingKey(nowSeconds: first.madeAtSeconds + Self.period))
        #expect(second.name != first.name)
        #expect(second.cipherKey != first.cipherKey && second.macKey != first.macKey)
        let late = first.madeAtSeconds + 2 * Self.period - 1
        #expect(keys.openingKey(name: first.name, nowSeconds: late)?.isCurrent == false)
        #expect(keys.openingKey(name: second.name, nowSeconds: late)?.isCurrent == true)
        #expect(keys.openingKey(name: first.name, nowSeconds: late + 1) == nil)
        #expect(
            keys.openingKey(name: [UInt8](repeating: 0, count: 16), nowSeconds: start) == nil)
    }

    @Test(arguments: [TLSVersion.tls12, .tls13])
    func `a session is taken up again under the current key and the one before it`(
        version: TLSVersion
    ) throws {
        let keys = try TicketKeys(sealingSeconds: Self.period)
        let store = try identities.store([identities.local], tickets: keys)
        let ticket = try #require(try session(store, version).ticket)
        let again = try session(store, version, resuming: ticket)
        #expect(again.isResumed)

        let now = TicketKeys.nowSeconds()
        #expect(keys.sealingKey(nowSeconds: now + Self.period) != nil)
        let later = try session(store, version, resuming: ticket)
        #expect(later.isResumed, "the key before the current one still opens")
        let renewed = try #require(later.ticket)

        // After two periods the first key is gone, and what was sealed meanwhile opens.
        #expect(keys.sealingKey(nowSeconds: now + 2 * Self.period + 1) != nil)
        #expect(try !session(store, version, resuming: ticket).isResumed)
        #expect(try session(store, version, resuming: renewed).isResumed)
    }

    @Test(arguments: [TLSVersion.tls12, .tls13])
    func `a ticket outlives a reload, unless the keys are others`(version: TLSVersion) throws {
        let keys = try TicketKeys()
        let before = try identities.store([identities.local], tickets: keys)
        let ticket = try #require(try session(before, version).ticket)
        let after = try identities.store([identities.local, identities.chat], tickets: keys)
        #expect(try session(after, version, resuming: ticket).isResumed)
        let other = try identities.store([identities.local])
        #expect(try !session(other, version, resuming: ticket).isResumed)
    }

    @Test(arguments: [TLSVersion.tls12, .tls13])
    func `a handshake gives one ticket`(version: TLSVersion) throws {
        let store = try identities.store([identities.local])
        let pair = MemoryPair(store, client: try client(version), serverName: "localhost")
        let pointer = try #require(pair.client.pointer)
        let count = UnsafeMutablePointer<Int>.allocate(capacity: 1)
        count.initialize(to: 0)
        defer { count.deallocate() }
        SSL_set_msg_callback(pointer) { isWrite, _, kind, bytes, length, _, argument in
            // A handshake message of type new_session_ticket (RFC 8446 §4).
            guard isWrite == 0, kind == 22, length > 0, let bytes,
                bytes.load(as: UInt8.self) == 4
            else { return }
            argument?.assumingMemoryBound(to: Int.self).pointee += 1
        }
        // SSL_set_msg_callback_arg, which is a macro.
        _ = SSL_ctrl(pointer, 16, 0, count)
        #expect(pair.handshake() == (.done, .done))
        _ = pair.client.read(pair.server.seal([1]))
        #expect(count.pointee == 1)
    }

    @Test func `many threads ask for keys at once and get the same`() async throws {
        let keys = try TicketKeys(sealingSeconds: Self.period)
        let now = TicketKeys.nowSeconds() + Self.period
        let names = await withTaskGroup(of: [UInt8]?.self) { group in
            for _ in 0..<64 { group.addTask { keys.sealingKey(nowSeconds: now)?.name } }
            return await group.reduce(into: Set<[UInt8]?>()) { $0.insert($1) }
        }
        #expect(names.count == 1)
    }

    private func session(
        _ store: CertificateStore, _ version: TLSVersion, resuming ticket: ResumptionTicket? = nil
    ) throws -> (isResumed: Bool, ticket: ResumptionTicket?) {
        let pair = MemoryPair(
            store, client: try client(version), serverName: "localhost", resuming: ticket)
        #expect(pair.handshake() == (.done, .done))
        #expect(pair.client.read(pair.server.seal([1])).plain == [1])
        let isResumed = pair.server.facts?.isResumed ?? false
        #expect(pair.client.facts?.isResumed == isResumed)
        return (isResumed, pair.client.ticket)
    }
}
