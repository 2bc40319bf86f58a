// SPDX-License-Identifier: Apache-2.0
public import Ledger
public import Reactor
import Synchronization

/// What is known of a relay when a tap begins to listen to it.
public struct TapRelay: Sendable {
    /// Its name.
    public let id: RelayID
    /// When that was, in nanoseconds of `Clock`.
    public let nanoseconds: UInt64
    /// Whether it was open before the tap listened.
    public let isLive: Bool
    /// Since the client connected or, in HTTP/2, since the stream began.
    public let ageMilliseconds: UInt64
    /// The client's address.
    public let client: Address
    /// The host that was asked for, without port.
    public let host: String
    /// The path that was asked for, without query.
    public let path: String
    /// The route's pattern.
    public let route: String
    /// The endpoint's label.
    public let endpoint: String
    /// Whether the client has it on a stream of HTTP/2.
    public let isHTTP2: Bool
    /// Whether the client speaks TLS.
    public let isTLS: Bool
    /// What was agreed in the opening handshake; nil where that is not known any more.
    public let agreed: Agreed?

    /// What is known of the relay of this name.
    public init(
        id: RelayID, nanoseconds: UInt64, isLive: Bool, ageMilliseconds: UInt64, client: Address,
        host: String, path: String, route: String, endpoint: String, isHTTP2: Bool, isTLS: Bool,
        agreed: Agreed?
    ) {
        self.id = id
        self.nanoseconds = nanoseconds
        self.isLive = isLive
        self.ageMilliseconds = ageMilliseconds
        self.client = client
        self.host = host
        self.path = path
        self.route = route
        self.endpoint = endpoint
        self.isHTTP2 = isHTTP2
        self.isTLS = isTLS
        self.agreed = agreed
    }
}

/// Where a relay goes on that was given up.
public enum TapMove: Sendable {
    /// In another reactor of the same process, under another name.
    case reactor
    /// In the process that takes over from this one.
    case process
}

/// How a relay that a tap listened to has ended, for that tap.
public struct TapEnd: Sendable {
    /// Its name.
    public let id: RelayID
    /// When that was, in nanoseconds of `Clock`.
    public let nanoseconds: UInt64
    /// The code of the Close with which the end began; 0 for none, 1005 for a Close without one.
    public let code: UInt16
    /// Who began the end.
    public let initiator: Initiator
    /// Why it ended.
    public let reason: EndReason
    /// What was against the rules; empty where nothing was.
    public let detail: String
    /// From the client to the upstream.
    public let up: DirectionCounts
    /// From the upstream to the client.
    public let down: DirectionCounts
    /// Whether a frame was in progress, of which the tap was told all until then.
    public var unfinished = (up: true, down: true)
    /// Where the relay goes on; nil where it is over.
    public var moved: TapMove?

    /// The end of the relay of this name.
    public init(
        id: RelayID, nanoseconds: UInt64, code: UInt16, initiator: Initiator, reason: EndReason,
        detail: String, up: DirectionCounts, down: DirectionCounts
    ) {
        self.id = id
        self.nanoseconds = nanoseconds
        self.code = code
        self.initiator = initiator
        self.reason = reason
        self.detail = detail
        self.up = up
        self.down = down
    }
}

/// How many compressed frames of a relay have passed since the first tap listens to it.
public struct TapCounts: Sendable {
    /// From the client to the upstream.
    var up: UInt32 = 0
    /// From the upstream to the client.
    var down: UInt32 = 0

    /// None has passed.
    public init() {}
}

/// What one reactor tells one tap: the reactor writes, the tap's thread reads (`TapReader`).
///
/// The reactor waits for nothing. What has no room is counted as lost.
public final class TapLine: Sendable {
    /// Bytes that may wait to be read.
    public static let capacity = 1 << 20
    /// Relays that begin or end and may wait to be read.
    static let noticesMax = 16_384

    /// The begin or end of a relay, and how far the ring was then.
    struct Notice: Sendable {
        enum Kind: Sendable {
            case begun(TapRelay, TapCounts)
            case ended(TapEnd)
        }

        let kind: Kind
        let position: UInt64
    }

    /// What is told.
    public let scope: TapScope
    let ring: TapRing
    private let notices = Mutex<[Notice]>([])
    private let lost = Atomic<UInt64>(0)
    private let lostNotices = Atomic<UInt64>(0)

    /// A line of which nothing was read.
    public init(_ scope: TapScope, capacity: Int = TapLine.capacity) {
        self.scope = scope
        ring = TapRing(capacity: capacity)
    }

    /// Frames that had no room, since the begin.
    public var lostFrames: UInt64 { lost.load(ordering: .relaxed) }
    /// Begins and ends of relays that had no room, since the begin.
    public var lostRelays: UInt64 { lostNotices.load(ordering: .relaxed) }

    /// Tells of a relay that is listened to from here on; `counts` are those of its compressed frames by now.
    public func begun(_ relay: TapRelay, _ counts: TapCounts = TapCounts()) {
        append(.begun(relay, counts))
    }

    /// Tells of a relay that has ended.
    public func ended(_ end: TapEnd) { append(.ended(end)) }

    private func append(_ kind: Notice.Kind) {
        let notice = Notice(kind: kind, position: ring.position)
        let isTaken = notices.withLock { notices in
            guard notices.count < Self.noticesMax else { return false }
            notices.append(notice)
            return true
        }
        if !isTaken { lostNotices.wrappingAdd(1, ordering: .relaxed) }
    }

    func takeNotices() -> [Notice] {
        notices.withLock { notices in
            let taken = notices
            notices = []
            return taken
        }
    }

    /// Puts an event in; what has no room is counted.
    func write(_ event: TapEvent, _ payload: UnsafePointer<UInt8>?) -> Bool {
        if ring.write(event, payload) { return true }
        lost.wrappingAdd(1, ordering: .relaxed)
        return false
    }
}
