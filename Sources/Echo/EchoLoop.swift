// SPDX-License-Identifier: Apache-2.0
import Reactor
import Wire

/// The echo app's reactor: its listeners, its connections and what they share.
///
/// Buffers belong to the loop and not to connections; an idle connection owns none.
struct EchoLoop: ~Copyable, Reacting {
    typealias PeerPointer = UnsafeMutablePointer<EchoPeer>

    /// Room in front of the receive buffer, for an incomplete header of the read before.
    private static let headroom = 16
    static let receiveBytes = 128 * 1024
    /// How many reads one connection gets before others have their turn.
    static let readsPerTurn = 8
    private static let acceptsPerTurn = 64
    private static let firstListenerNumber: UInt32 = 1
    static let headMilliseconds: UInt64 = 10_000
    static let endingMilliseconds: UInt64 = 2_000

    var loop: ReactorLoop<EchoServer.Command>
    private(set) var isOver = false
    private let listeners: [Int32]
    private var backoff = AcceptBackoff()
    /// When the listeners are watched again after the system had no descriptor left.
    private var listensAgainAt: UInt64?
    var slab: Slab<EchoPeer>
    var pool = BufferPool()
    let received: UnsafeMutablePointer<UInt8>
    /// Connections whose turn ended before their bytes did.
    var queued: [Token] = []

    init(
        poller: consuming Poller, mailbox: Mailbox<EchoServer.Command>,
        listeners: [(descriptor: Int32, address: Address)], connectionsMax: Int
    ) {
        loop = ReactorLoop(poller: poller, mailbox: mailbox)
        self.listeners = listeners.map(\.descriptor)
        slab = Slab(capacity: connectionsMax)
        let buffer = UnsafeMutablePointer<UInt8>.allocate(
            capacity: Self.receiveBytes + Self.headroom)
        received = buffer + Self.headroom
    }

    deinit {
        for descriptor in listeners { _ = Socket(adopting: descriptor) }
        (received - Self.headroom).deallocate()
    }

    /// Serves until it is told to stop.
    mutating func run() {
        for index in listeners.indices { setListening(index, true) }
        _ = turnUntilOver()
        discardAll()
    }

    mutating func receive(_ message: EchoServer.Command) {
        switch message {
        case .stop: isOver = true
        }
    }

    mutating func isReady(_ token: Token, _ flags: Readiness) {
        if let peer = slab.pointer(token) {
            peerIsReady(peer, token, flags)
        } else {
            acceptAll(from: token)
        }
    }

    mutating func timeIsUp(_ token: Token) { end(token) }

    mutating func endTurn() {
        serveQueued()
        if let moment = listensAgainAt, moment <= loop.now {
            listensAgainAt = nil
            for index in listeners.indices { setListening(index, true) }
        }
        slab.releaseRetired()
    }

    func limit(_ wait: inout WaitTime) {
        if !queued.isEmpty { wait.limit(to: 0) }
        wait.limit(until: listensAgainAt ?? .max)
    }

    private mutating func setListening(_ index: Int, _ isOn: Bool) {
        let token = Token.fixed(Self.firstListenerNumber + UInt32(index))
        if isOn {
            _ = loop.poller.add(listeners[index], token, .levelRead)
        } else {
            loop.poller.remove(listeners[index])
        }
    }

    private mutating func acceptAll(from token: Token) {
        guard
            let index = listeners.indices.first(where: {
                token == .fixed(Self.firstListenerNumber + UInt32($0))
            })
        else { return }
        for _ in 0..<Self.acceptsPerTurn {
            switch Listener.accept(on: listeners[index]) {
            case .accepted(let descriptor, _):
                backoff.reset()
                welcome(Socket(adopting: descriptor))
            case .aborted:
                continue
            case .blocked:
                return
            case .exhausted:
                listensAgainAt = loop.now + backoff.pauseMilliseconds()
                for index in listeners.indices { setListening(index, false) }
                return
            }
        }
    }

    private mutating func welcome(_ socket: consuming Socket) {
        let descriptor = socket.descriptor
        socket.setNoDelay()
        guard let token = slab.insert(EchoPeer(socket: socket)) else { return }
        loop.timers.reserve(index: Int(token.index))
        loop.timers.arm(token, at: loop.now + Self.headMilliseconds)
        if !loop.poller.add(descriptor, token, .edgeBoth) { end(token) }
    }

    private mutating func serveQueued() {
        guard !queued.isEmpty else { return }
        let turns = queued
        queued.removeAll(keepingCapacity: true)
        for token in turns {
            guard let peer = slab.pointer(token) else { continue }
            peer.pointee.isQueued = false
            readAll(peer, token)
        }
    }

    /// Forgets a connection; its socket is closed when the turn ends.
    mutating func end(_ token: Token) {
        guard let peer = slab.pointer(token) else { return }
        loop.timers.cancel(token)
        peer.pointee.held.discard(pool: &pool)
        slab.retire(token)
    }

    private mutating func discardAll() {
        var index = -1
        while let token = slab.nextLive(after: index) {
            index = Int(token.index)
            end(token)
        }
        slab.releaseRetired()
    }
}
