// SPDX-License-Identifier: Apache-2.0
import Reactor
import Wire

/// The echo app's reactor: its listeners, its connections and what they share.
///
/// Buffers belong to the loop and not to connections; an idle connection owns none.
struct EchoLoop: ~Copyable {
    typealias PeerPointer = UnsafeMutablePointer<EchoPeer>

    /// Room in front of the receive buffer, for an incomplete header of the read before.
    private static let headroom = 16
    static let receiveBytes = 128 * 1024
    /// How many reads one connection gets before others have their turn.
    static let readsPerTurn = 8
    private static let acceptsPerTurn = 64
    private static let mailboxNumber: UInt32 = 0
    private static let firstListenerNumber: UInt32 = 1
    static let headMilliseconds: UInt64 = 10_000
    static let endingMilliseconds: UInt64 = 2_000

    private var poller: Poller
    private let mailbox: Mailbox<EchoServer.Command>
    private let listeners: [Int32]
    private var backoff = AcceptBackoff()
    /// When the listeners are watched again after the system had no descriptor left.
    private var listensAgainAt: UInt64?
    var slab: Slab<EchoPeer>
    var timers: TimerWheel
    var pool = BufferPool()
    let received: UnsafeMutablePointer<UInt8>
    /// Connections whose turn ended before their bytes did.
    var queued: [Token] = []
    var now: UInt64

    init(
        poller: consuming Poller, mailbox: Mailbox<EchoServer.Command>,
        listeners: [(descriptor: Int32, address: Address)], connectionsMax: Int
    ) {
        now = Clock.nowMilliseconds()
        self.poller = poller
        self.mailbox = mailbox
        self.listeners = listeners.map(\.descriptor)
        slab = Slab(capacity: connectionsMax)
        timers = TimerWheel(now: now)
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
        _ = poller.add(mailbox.descriptor, .fixed(Self.mailboxNumber), .levelRead)
        while true {
            let count = poller.wait(timeoutMilliseconds: timeout())
            now = Clock.nowMilliseconds()
            for index in 0..<count {
                let event = poller.event(index)
                if let peer = slab.pointer(event.token) {
                    peerIsReady(peer, event.token, event.flags)
                } else if event.token == .fixed(Self.mailboxNumber) {
                    if !mailbox.take().isEmpty {
                        discardAll()
                        return
                    }
                } else {
                    acceptAll(from: event.token)
                }
            }
            serveQueued()
            while let token = timers.popExpired(now: now) { end(token) }
            if let moment = listensAgainAt, moment <= now {
                listensAgainAt = nil
                for index in listeners.indices { setListening(index, true) }
            }
            slab.releaseRetired()
        }
    }

    private func timeout() -> Int32 {
        if !queued.isEmpty { return 0 }
        var wait = WaitTime()
        wait.limit(by: timers)
        wait.limit(until: listensAgainAt ?? .max)
        return wait.milliseconds
    }

    private mutating func setListening(_ index: Int, _ isOn: Bool) {
        let token = Token.fixed(Self.firstListenerNumber + UInt32(index))
        if isOn {
            _ = poller.add(listeners[index], token, .levelRead)
        } else {
            poller.remove(listeners[index])
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
                listensAgainAt = now + backoff.pauseMilliseconds()
                for index in listeners.indices { setListening(index, false) }
                return
            }
        }
    }

    private mutating func welcome(_ socket: consuming Socket) {
        let descriptor = socket.descriptor
        socket.setNoDelay()
        guard let token = slab.insert(EchoPeer(socket: socket)) else { return }
        timers.reserve(index: Int(token.index))
        timers.arm(token, at: now + Self.headMilliseconds)
        if !poller.add(descriptor, token, .edgeBoth) { end(token) }
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
        timers.cancel(token)
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
