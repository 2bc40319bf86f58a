// SPDX-License-Identifier: Apache-2.0
import Glibc
import Ledger
public import Reactor
import Router
import Serialization
import Splice
import Synchronization

/// A relay on its way from one reactor to another one, of this process or of the next.
///
/// Nobody reads or sends on its sockets meanwhile. They close with it unless somebody has taken them, and its image,
/// which holds the keys of a session, is overwritten then.
public final class RelayInTransit: Sendable {
    nonisolated(unsafe) private let memory: UnsafeMutableRawPointer
    /// Bytes of the image.
    public let byteCount: Int
    private let client: Int32
    private let backend: Int32
    private let areTaken = Atomic<Bool>(false)
    /// Where it belongs in this process; nil where that is to be found by the names in its image.
    let place: RelayPlace?
    /// The faults that it has in this process; nil where it has none.
    let faults: CarriedFaults?

    /// Takes sockets over, and copies an image.
    init(
        image: UnsafeRawBufferPointer, client: Int32, backend: Int32, place: RelayPlace?,
        faults: CarriedFaults? = nil
    ) {
        byteCount = image.count
        memory = .allocate(byteCount: max(1, image.count), alignment: 8)
        if let start = image.baseAddress { memcpy(memory, start, image.count) }
        self.client = client
        self.backend = backend
        self.place = place
        self.faults = faults
    }

    /// A relay of another process, whose place is to be found by the names in its image.
    public convenience init(of image: UnsafeRawBufferPointer, client: Int32, backend: Int32) {
        self.init(image: image, client: client, backend: backend, place: nil)
    }

    /// Ends both connections at once, for whichever process has them too.
    public func end() {
        if areTaken.load(ordering: .acquiring) { return }
        shutdown(client, Int32(SHUT_RDWR))
        shutdown(backend, Int32(SHUT_RDWR))
    }

    deinit {
        explicit_bzero(memory, byteCount)
        memory.deallocate()
        if let sockets = takeSockets() { _ = consume sockets }
    }

    /// Lends the image.
    public func withImage<Outcome>(_ use: (UnsafeRawBufferPointer) -> Outcome) -> Outcome {
        use(UnsafeRawBufferPointer(start: memory, count: byteCount))
    }

    /// The descriptors of both sockets, the client's first, as long as nobody has taken them.
    public var descriptors: (client: Int32, backend: Int32) { (client, backend) }

    /// The sockets, for the first who asks.
    func takeSockets() -> SocketPair? {
        if areTaken.exchange(true, ordering: .acquiringAndReleasing) { return nil }
        return SocketPair(first: Socket(adopting: client), second: Socket(adopting: backend))
    }
}

/// What a relay belongs to in this process.
struct RelayPlace: Sendable {
    let plan: RoutePlan?
    let endpoint: Endpoint?
    /// The upstream at whose endpoint it has a place, and which one; nil where it has none.
    let seat: (group: EndpointGroup, index: Int)?
    let listener: ListenerFacts
}

/// Which relays are to move.
public struct MoveOrder: Sendable {
    /// How many at most, of one reactor.
    public var relaysMax: Int
    /// Whether sessions may leave OpenSSL's object for it.
    var releases = true
    /// Whether those are asked again that an earlier process has refused.
    public var isFirstLook = true
    /// Whether they go to another process, and not to another reactor of this one.
    public var leavesProcess: Bool

    /// An order to move so many relays of a reactor at most.
    public init(relaysMax: Int = .max, leavesProcess: Bool = false) {
        self.relaysMax = relaysMax
        self.leavesProcess = leavesProcess
    }
}

/// Something that a reactor is asked for and that nobody may want any more when its turn comes: either it is begun, or
/// it is withdrawn.
final class Errand: Sendable {
    private let state = Atomic<UInt8>(0)

    /// Whether it is still wanted; it can't be withdrawn from then on.
    func begin() -> Bool {
        state.compareExchange(expected: 0, desired: 1, ordering: .acquiringAndReleasing).exchanged
    }

    /// Withdraws it; false where it was begun.
    func withdraw() -> Bool {
        state.compareExchange(expected: 0, desired: 2, ordering: .acquiringAndReleasing).exchanged
    }
}

/// Where reactors answer who moves relays; made once, so that a move needs no further descriptor.
public final class MoveAnswers: Sendable {
    /// The reactor, and what became of which.
    typealias Taken = (reactor: Int, outcomes: [(index: Int, outcome: TakeOver)])

    let movedOut: Mailbox<MovedOut>
    let taken: Mailbox<Taken>

    /// - Throws: `SystemError` where no descriptor is left.
    public init() throws(SystemError) {
        movedOut = try Mailbox()
        taken = try Mailbox()
    }
}

/// Relays that one reactor has given up, and those that it could not.
public struct MovedOut: Sendable {
    /// They belong to whoever has this.
    public var relays: [RelayInTransit] = []
    /// Relays that can't move now, and could a little later.
    public var waiting = 0
    /// Relays that stay: streams of HTTP/2, sessions that need OpenSSL's object, and those that are ending.
    public var staying = Staying()
    /// Where to go on; nil where all were looked at.
    public var next: Int?

    /// Why relays stay, in numbers.
    public struct Staying: Sendable, Equatable {
        /// Streams of HTTP/2 connections.
        public var streams = 0
        /// TLS 1.2, or sessions that may not leave OpenSSL's object.
        public var sessions = 0
        /// Their end has begun, or a drain has them.
        public var ending = 0
        /// The next process has refused them, and they were taken back.
        public var refused = 0

        /// None.
        public init() {}

        /// All of them.
        public var sum: Int { streams + sessions + ending + refused }

        /// Adds those of another reactor.
        public static func += (left: inout Staying, right: Staying) {
            left.streams += right.streams
            left.sessions += right.sessions
            left.ending += right.ending
            left.refused += right.refused
        }
    }
}

/// What became of a relay that a reactor was to take over.
public enum TakeOver: Sendable, Equatable {
    /// It goes on there.
    case taken
    /// It was not touched; why, in a few words.
    case refused(String)
    /// It is gone: its sockets are closed.
    case lost(String)
}
