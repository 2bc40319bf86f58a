// SPDX-License-Identifier: Apache-2.0

import Glibc

/// An upstream whose connections the test itself serves, one after the other, on its own thread.
///
/// With it both ends of a relay are in the test's hand, and what happens in which order is what the
/// test says.
public final class ManualBackend: Sendable {
    /// Where it listens.
    public let address: PeerAddress
    private let socket: Descriptor

    /// Starts listening.
    public init(at address: PeerAddress = .tcp(0)) throws {
        (socket, self.address) = try address.listen()
    }

    /// The next connection.
    public func next(receiveBufferBytes: Int32? = nil, by deadline: Deadline = .after()) throws
        -> WebSocketPeer
    {
        // Accepted sockets take their buffer size from the listening one.
        if let receiveBufferBytes {
            try socket.setOption(SOL_SOCKET, SO_RCVBUF, receiveBufferBytes)
        }
        guard try socket.poll(POLLIN, by: deadline) != 0 else {
            throw PeerError("timed out waiting for a connection to the upstream")
        }
        guard let connection = try socket.accept(for: address) else {
            throw PeerError("the upstream has stopped listening")
        }
        return WebSocketPeer(try PeerStream(connection))
    }

    /// Whether a connection waits to be taken before the deadline.
    public func hasPendingConnection(by deadline: Deadline) throws -> Bool {
        try socket.poll(POLLIN, by: deadline) != 0
    }
}

/// Both ends of one relay through the program.
public struct RelayEnds {
    /// The client's end, its opening handshake done.
    public let client: WebSocketPeer
    /// The upstream's end, its 101 sent.
    public let upstream: WebSocketPeer
    /// What the upstream was asked.
    public let request: HTTPHead
    /// What the client was answered.
    public let response: HTTPHead
}

extension ProxyFixture {
    /// Opens a relay whose upstream end is the next connection to `backend`.
    ///
    /// - Parameters:
    ///   - backend: the upstream, which nobody else takes connections of.
    ///   - opening: what the client sends.
    ///   - extra: further fields of the upstream's 101.
    ///   - receiveBufferBytes: a small receive buffer for both ends, for tests of back-pressure.
    /// - Returns: both ends.
    /// - Throws: `PeerError` if the relay does not open.
    public func relay(
        to backend: ManualBackend, _ opening: Opening = Opening(),
        extra: [(name: String, value: String)] = [], receiveBufferBytes: Int32? = nil
    ) throws -> RelayEnds {
        let client = try connect(receiveBufferBytes: receiveBufferBytes)
        try client.send(opening.bytes)
        let upstream = try backend.next(receiveBufferBytes: receiveBufferBytes)
        let request = try upstream.accept(extra: extra)
        let response = try client.readHead()
        guard response.status == 101 else { throw PeerError("expected a 101, got \(response)") }
        return RelayEnds(client: client, upstream: upstream, request: request, response: response)
    }
}

/// An upstream that can't be reached and does not say so: its queue of connections is full, so the
/// kernel drops each further SYN, as a firewall would.
public final class UnreachableBackend: Sendable {
    /// Where connects get no answer.
    public let address: PeerAddress
    private let socket: Descriptor
    private let fillers: [Descriptor]

    /// Fills the queue.
    public init() throws {
        (socket, address) = try PeerAddress.tcp(0).listen(backlog: 0)
        var fillers: [Descriptor] = []
        while fillers.count < 16 {
            let filler = try address.beginConnecting()
            fillers.append(filler)
            // The first that gets no answer shows that the queue is full.
            if try filler.poll(POLLOUT, by: .after(.milliseconds(300))) == 0 { break }
        }
        self.fillers = fillers
    }
}
