// SPDX-License-Identifier: Apache-2.0
import Reactor
import Synchronization

/// The keys of one issuer as reactors find them: replaced whole when there are new ones, and kept while there are none.
public final class TokenKeyring: Sendable {
    /// A file of certificate authorities.
    ///
    /// With another content it is another one, so that what was fetched by the authorities of before is not kept.
    public struct Authorities: Sendable, Hashable {
        /// Where the file is.
        public let path: String
        /// What it holds.
        public let content: [UInt8]

        /// A file that was read.
        public init(path: String, content: [UInt8]) {
            self.path = path
            self.content = content
        }
    }

    /// Where the keys come from.
    public enum Origin: Sendable, Hashable {
        /// A file, which is read at the start and at each reload.
        case file(String)
        /// A URL, which is fetched again and again, with the certificate authorities that it is checked by; nil for the
        /// system's.
        case url(String, authorities: Authorities?)

        /// The file's path, or the URL without its query, which may hold a secret.
        public var name: String {
            switch self {
            case .file(let path): path
            case .url(let url, _): String(url.prefix { $0 != "?" })
            }
        }
    }

    /// How often an unknown `kid` may have an issuer asked.
    static let askMilliseconds: UInt64 = 30_000
    /// How long an answer is awaited at most: as long as fetching may take.
    private static let answerMilliseconds: UInt64 = 10_000

    /// What is known of fetching them.
    public struct Report: Sendable, Equatable {
        /// Documents that were taken, also where they were as before.
        public var refreshed = 0
        /// Tries that brought none.
        public var failed = 0
        /// When one was taken last, in milliseconds since 1970; 0 for never.
        public var takenMilliseconds: UInt64 = 0
        /// Why the last try brought none; nil where it did.
        public var problem: String?
    }

    private struct State {
        var keys: TokenKeys?
        /// Changes with the keys; 0 before the first.
        var version: UInt64 = 0
        var report = Report()
        var nextAsk: UInt64 = 0
        /// How often keys were asked for.
        var asks = 0
        /// Until when the answer to the last time is awaited.
        var awaitedUntil: UInt64 = 0
        var wanted: (@Sendable () -> Void)?
    }

    /// Where the keys come from.
    public let origin: Origin
    private let state: Mutex<State>

    /// A ring without keys, or with those of a file.
    public init(_ origin: Origin, keys: TokenKeys? = nil) {
        self.origin = origin
        var first = State()
        first.keys = keys
        if keys != nil { first.version = 1 }
        state = Mutex(first)
    }

    /// The keys, and a number that changes with them; nil while there are none.
    var current: (keys: TokenKeys, version: UInt64)? {
        state.withLock { state in state.keys.map { ($0, state.version) } }
    }

    /// The keys; nil while there are none.
    public var keys: TokenKeys? { state.withLock { $0.keys } }

    /// What is known of fetching them.
    public var report: Report { state.withLock { $0.report } }

    /// Takes a document that was fetched.
    ///
    /// - Returns: whether the keys are others than before.
    @discardableResult
    public func use(_ keys: TokenKeys) -> Bool {
        state.withLock { state in
            state.report.refreshed += 1
            state.report.takenMilliseconds = Clock.wallMilliseconds()
            state.report.problem = nil
            if let own = state.keys, own.isSame(as: keys) { return false }
            state.keys = keys
            state.version += 1
            return true
        }
    }

    /// Takes keys that the process before has fetched, where there are none yet.
    public func inherit(_ keys: TokenKeys, takenMilliseconds: UInt64) {
        state.withLock { state in
            guard state.keys == nil else { return }
            state.keys = keys
            state.version += 1
            state.report.takenMilliseconds = takenMilliseconds
        }
    }

    /// Notes that a try has brought no keys; those that there are stay.
    public func failed(_ problem: String) {
        state.withLock { state in
            state.report.failed += 1
            state.report.problem = problem
        }
    }

    /// Says whom to tell that keys are wanted before their time; the function must not block.
    public func onWanted(_ wanted: (@Sendable () -> Void)?) {
        state.withLock { $0.wanted = wanted }
    }

    /// Asks for new keys, since a token names one that is not known; not more often than every 30 seconds.
    ///
    /// - Returns: whether the issuer is being asked, so that the key may be there in a moment.
    func want() -> Bool {
        let (wanted, isAwaited): ((@Sendable () -> Void)?, Bool) = state.withLock { state in
            let now = Clock.nowMilliseconds()
            guard let wanted = state.wanted else { return (nil, false) }
            guard now >= state.nextAsk else { return (nil, now < state.awaitedUntil) }
            state.nextAsk = now + Self.askMilliseconds
            state.awaitedUntil = now + Self.answerMilliseconds
            state.asks += 1
            return (wanted, true)
        }
        wanted?()
        return isAwaited
    }

    /// How often keys were asked for, to be noted where a try begins.
    public var askCount: Int { state.withLock { $0.asks } }

    /// Notes that a try is over that began behind so many asks.
    public func answered(_ count: Int) {
        state.withLock { state in
            if count >= state.asks { state.awaitedUntil = 0 }
        }
    }
}
