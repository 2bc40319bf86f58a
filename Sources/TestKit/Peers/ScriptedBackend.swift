// SPDX-License-Identifier: Apache-2.0

import Glibc

/// An upstream that does, per connection, what the test's script says: right or wrong.
///
/// It counts connections and keeps each byte that arrived on each, so that a test can state that
/// nothing reached the upstream. The script runs on a thread of its own and the connection is closed
/// when it returns; what it throws is kept in `failures`. It goes on listening until it is stopped,
/// whether or not a test still refers to it.
public final class ScriptedBackend: Sendable {
    /// What the backend does on one connection.
    public typealias Script = @Sendable (WebSocketPeer) throws -> Void

    /// Where it listens.
    public let address: PeerAddress
    private let socket: Descriptor
    private let records = Monitor<[Monitor<[UInt8]>]>([])
    private let endings = Monitor<[String?]>([])

    /// Starts listening; connections are served by `script` from now on.
    public init(at address: PeerAddress = .tcp(0), script: @escaping Script) throws {
        let (socket, address) = try address.listen()
        self.socket = socket
        self.address = address
        let (records, endings) = (self.records, self.endings)
        _ = TestThread {
            while let connection = try socket.accept(for: address) {
                let record = Monitor<[UInt8]>([])
                records.update { $0.append(record) }
                _ = TestThread {
                    let failure = Self.serve(connection, record, script)
                    endings.update { $0.append(failure) }
                }
            }
        }
    }

    /// Stops listening.
    ///
    /// Later connections are refused; open ones go on.
    public func stop() {
        // Wakes the thread in accept, which holds the last reference.
        shutdown(socket.number, Int32(SHUT_RDWR))
    }

    /// How many connections were accepted.
    public var connectionCount: Int { records.value.count }

    /// What arrived on the connection with this index so far.
    public func received(_ index: Int = 0) -> [UInt8] {
        let all = records.value
        return index < all.count ? all[index].value : []
    }

    /// All bytes that arrived, over all connections.
    public var receivedCount: Int { records.value.reduce(0) { $0 + $1.value.count } }

    /// What the scripts that have ended threw.
    public var failures: [String] { endings.value.compactMap { $0 } }

    /// Waits until this many connections were accepted.
    public func waitForConnections(_ count: Int, by deadline: Deadline = .after()) throws {
        try records.wait(for: "\(count) upstream connections", by: deadline) { $0.count >= count }
    }

    /// Waits until this many scripts have ended, and throws what one of them threw.
    public func waitForScripts(_ count: Int = 1, by deadline: Deadline = .after()) throws {
        try endings.wait(for: "\(count) backend scripts to end", by: deadline) { $0.count >= count }
        if let failure = failures.first { throw PeerError("in the backend: \(failure)") }
    }

    private static func serve(
        _ connection: Descriptor, _ record: Monitor<[UInt8]>, _ script: Script
    ) -> String? {
        defer { connection.close() }
        do {
            try script(WebSocketPeer(try PeerStream(connection, record: record)))
            return nil
        } catch {
            return "\(error)"
        }
    }
}

extension ScriptedBackend {
    /// An honest echo server; one that does not answer a Close stays connected until its peer goes.
    public static func echo(
        at address: PeerAddress = .tcp(0), answersClose: Bool = true
    ) throws -> ScriptedBackend {
        try ScriptedBackend(at: address) { peer in
            try peer.accept()
            try peer.echo(answersClose: answersClose)
        }
    }

    /// Reads the request and answers these bytes whatever it was, then closes in order.
    public static func answering(_ response: String) throws -> ScriptedBackend {
        try ScriptedBackend { peer in
            _ = try peer.readHead()
            try peer.send(response)
            try peer.stream.halfClose()
            _ = try peer.readUntilEnd()
        }
    }

    /// Takes connections and the request and never says anything.
    public static func silent() throws -> ScriptedBackend {
        try ScriptedBackend { peer in _ = try peer.readUntilEnd(by: .after(.seconds(600))) }
    }
}
