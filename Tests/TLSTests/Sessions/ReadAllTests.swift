// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import Testing

@testable import TLS

/// What `readAll` makes of records: whole, in part, several, foreign.
struct ReadAllTests {
    let store: CertificateStore

    init() throws {
        let identities = try Identities.shared()
        store = try identities.store([identities.local])
    }

    private func pair(_ version: TLSVersion) throws -> MemoryPair {
        let pair = MemoryPair(store, client: try client(version))
        #expect(pair.handshake() == (.done, .done))
        return pair
    }

    @Test(arguments: [TLSVersion.tls12, .tls13])
    func `several records are read at once`(version: TLSVersion) throws {
        let pair = try pair(version)
        let wire = pair.client.seal([1]) + pair.client.seal([2, 3]) + pair.client.seal([4])
        let read = pair.server.read(wire)
        #expect(read.plain == [1, 2, 3, 4])
        #expect(read.status == .open)
    }

    @Test(arguments: [TLSVersion.tls12, .tls13])
    func `records split at any byte arrive whole`(version: TLSVersion) throws {
        let pair = try pair(version)
        let length = pair.client.seal([1, 2, 3]).count
        let fresh = try self.pair(version)
        for split in 1..<(2 * length) {
            let wire = fresh.client.seal([1, 2, 3]) + fresh.client.seal([4, 5, 6])
            let first = fresh.server.read(Array(wire[..<split]))
            let second = fresh.server.read(Array(wire[split...]))
            #expect(first.plain == (split < length ? [] : [1, 2, 3]), "split at \(split)")
            #expect(first.plain + second.plain == [1, 2, 3, 4, 5, 6], "split at \(split)")
            #expect(first.status == .open && second.status == .open)
        }
    }

    @Test(arguments: [TLSVersion.tls12, .tls13])
    func `more than one record's worth is sealed into several and read back`(
        version: TLSVersion
    ) throws {
        let pair = try pair(version)
        let plain = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        let wire = pair.server.seal(plain)
        #expect(wire.count > plain.count + 6 * 20)
        #expect(pair.client.read(wire).plain == plain)
    }

    @Test func `sealing nothing makes no record`() throws {
        #expect(try pair(.tls13).client.seal([]) == [])
    }

    @Test(arguments: [TLSVersion.tls12, .tls13])
    func `close_notify is seen as closed, behind what came before it`(version: TLSVersion) throws {
        let pair = try pair(version)
        let wire = pair.client.seal([1, 2]) + pair.client.close()
        let read = pair.server.read(wire)
        #expect(read.plain == [1, 2])
        #expect(read.status == .closed)
        #expect(pair.client.close() == [], "it is sent once")
        // RFC 8446 §6.1: each direction closes for itself.
        let last = pair.client.read(pair.server.seal([3]) + pair.server.close())
        #expect(last.plain == [3])
        #expect(last.status == .closed)
    }

    @Test func `closing before the handshake is done says nothing`() {
        let server = MemoryEnd(accepting: store.initial)
        #expect(server.close() == [])
    }

    @Test(arguments: [TLSVersion.tls12, .tls13])
    func `a record cut short is no end`(version: TLSVersion) throws {
        let pair = try pair(version)
        let wire = pair.client.seal([1, 2, 3])
        let read = pair.server.read(Array(wire.dropLast()))
        #expect(read.plain == [])
        #expect(read.status == .open)
    }

    @Test(arguments: [TLSVersion.tls12, .tls13])
    func `a changed byte ends the session with an alert`(version: TLSVersion) throws {
        let pair = try pair(version)
        var wire = pair.client.seal([1]) + pair.client.seal([2, 3])
        wire[wire.count - 1] ^= 1
        let read = pair.server.read(wire)
        #expect(read.plain == [1], "what came before it was whole")
        #expect(read.status == .failed)
        let alert = pair.server.output()
        #expect(!alert.isEmpty)
        #expect(pair.client.read(alert).status == .failed)
        #expect(pair.client.reasons.contains { $0.contains("bad record mac") })
        #expect(pair.server.read(pair.client.seal([4])).status == .failed, "and stays ended")
    }

    @Test(arguments: [
        [0x17, 0x03, 0x03, 0xFF, 0xFF],  // longer than any record may be
        [0x47, 0x45, 0x54, 0x20, 0x2F],  // GET /
        [0x17, 0x03, 0x03, 0x00, 0x00],  // nothing, not even a tag
        [0x17, 0x02, 0x03, 0x00, 0x20],  // of no version
    ])
    func `bytes that are no record end the session with an alert`(header: [UInt8]) throws {
        let pair = try pair(.tls13)
        let read = pair.server.read(header + [UInt8](repeating: 0, count: 64))
        #expect(read.plain == [])
        #expect(read.status == .failed)
        #expect(pair.client.read(pair.server.output()).status == .failed)
    }

    @Test func `nothing is sealed where the output is full`() throws {
        let buffers = RecordBuffers(outputCapacity: 4_096)
        defer { buffers.free() }
        var session = TLSSession.accepting(store.initial, through: buffers)
        let other = MemoryEnd(connecting: try client())
        #expect(other.handshake() == .wantsInput)
        let first = step(&session, buffers, other.output())
        #expect(first == .wantsInput)
        #expect(other.handshake(take(buffers)) == .done)
        let second = step(&session, buffers, other.output())
        #expect(second == .done)
        _ = take(buffers)
        let plain = [UInt8](repeating: 7, count: 10_000)
        let isWritten = session?.write(plain, count: plain.count)
        #expect(isWritten == false)
    }

    private func step(
        _ session: inout TLSSession?, _ buffers: RecordBuffers, _ wire: [UInt8]
    ) -> HandshakeProgress {
        wire.withUnsafeBufferPointer { bytes in
            guard let start = bytes.baseAddress else { return .failed }
            buffers.setInput(start, count: bytes.count)
            return session?.handshake() ?? .failed
        }
    }

    private func take(_ buffers: RecordBuffers) -> [UInt8] {
        let made = Array(UnsafeBufferPointer(start: buffers.output, count: buffers.outputCount))
        buffers.clearOutput()
        return made
    }

    @Test func `a client that wants to renegotiate is refused`() throws {
        let pair = try pair(.tls12)
        let pointer = try #require(pair.client.pointer)
        SSL_clear_options(pointer, sluice_op_no_renegotiation())
        #expect(SSL_renegotiate(pointer) == 1)
        _ = pair.client.handshake()
        let read = pair.server.read(pair.client.output())
        #expect(read.plain == [])
        // no_renegotiation (RFC 5246 §7.2.2), and no ServerHello.
        let answer = pair.server.output()
        #expect(answer.first == 0x15)
        #expect(pair.client.handshake(answer) == .failed)
        #expect(pair.client.reasons.contains("no renegotiation"))
    }

    @Test(arguments: [SSL_KEY_UPDATE_NOT_REQUESTED, SSL_KEY_UPDATE_REQUESTED])
    func `a flood of records without data ends the session`(kind: Int32) throws {
        let pair = try pair(.tls13)
        let pointer = try #require(pair.client.pointer)
        var status = ReadOutcome.Status.open
        var updates = 0
        while status == .open && updates < 1_000 {
            #expect(SSL_key_update(pointer, kind) == 1)
            #expect(SSL_do_handshake(pointer) == 1)
            status = pair.server.read(pair.client.output()).status
            updates += 1
        }
        #expect(status == .failed)
        #expect(updates > 32 && updates < 100, "\(updates) were tolerated")
    }

    @Test func `a long life with new keys and data between them goes on`() throws {
        let pair = try pair(.tls13)
        let pointer = try #require(pair.client.pointer)
        for round in 0..<1_000 {
            #expect(SSL_key_update(pointer, SSL_KEY_UPDATE_REQUESTED) == 1)
            let wire = pair.client.seal([UInt8(truncatingIfNeeded: round)])
            let read = pair.server.read(wire)
            #expect(read.plain == [UInt8(truncatingIfNeeded: round)])
            #expect(read.status == .open, "round \(round)")
            #expect(pair.client.read(pair.server.seal([9])).plain == [9])
        }
    }
}
