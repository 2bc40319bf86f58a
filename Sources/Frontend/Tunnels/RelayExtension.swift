// SPDX-License-Identifier: Apache-2.0
import Access
import Reactor
import Splice

/// More time for a relay that ends with its token.
public enum RelayExtension: Sendable {
    /// Until so many seconds from now, whenever it was to end.
    case seconds(UInt64)
    /// Until this token ends, which the rules of the relay's route judge.
    case token([UInt8])

    /// Ten years, as long as any token has.
    public static let secondsMax: UInt64 = 315_360_000

    /// What has become of it.
    public enum Outcome: Sendable {
        /// It ends then, in milliseconds since 1970.
        case extended(untilMilliseconds: UInt64)
        /// There is no such relay, or it is ending already.
        case noRelay
        /// It does not end with a token.
        case hasNoEnd
        /// Its route asks for no token any more.
        case hasNoRule(route: String)
        /// There are no keys by which the token could be judged.
        case noKeys
        /// The token may be good: its issuer is being asked for the key.
        case early(String)
        /// The token is not good.
        case refused(String)
    }
}

extension TunnelKeeper {
    /// Gives a relay more time before it ends with its token.
    func extend(_ slot: Token, by wanted: RelayExtension) -> RelayExtension.Outcome {
        guard let tunnel = state.pointee.tunnels.pointer(slot),
            !tunnel.pointee.relay.ending.hasBegun
        else { return .noRelay }
        guard tunnel.pointee.relay.term != nil else { return .hasNoEnd }
        let now = Clock.wallMilliseconds()
        let end: UInt64
        switch wanted {
        case .seconds(let seconds): end = now + min(seconds, RelayExtension.secondsMax) * 1_000
        case .token(let token):
            switch judge(token, for: tunnel, now) {
            case .extended(let until): end = until
            case let other: return other
            }
        }
        obey(
            tunnel.pointee.relay.extend(toMilliseconds: end, state.pointee.space), tunnel)
        return .extended(untilMilliseconds: end)
    }

    /// Judges a later token by the rules that the relay's route has now.
    private func judge(
        _ token: [UInt8], for tunnel: TunnelPointer, _ now: UInt64
    ) -> RelayExtension.Outcome {
        let asked = tunnel.pointee.asked
        let plan = state.pointee.snapshot.routing.plans.first { $0.route.name == asked.route }
        guard let access = plan?.route.access?.token else { return .hasNoRule(route: asked.route) }
        switch access.rule.judge(token, wallMilliseconds: now) {
        case .noKeys: return .noKeys
        case .refused(let fault):
            return fault.kind == .early ? .early(fault.sentence) : .refused(fault.sentence)
        case .proven(let proven):
            // Nobody goes on as somebody else. The user may be whom another rule has named; a relay of a build that kept no
            // subject has nothing else.
            let subject = asked.tokenSubject ?? asked.user
            guard !proven.subject.isEmpty || !subject.isEmpty else {
                return .refused(
                    "Neither this token nor the WebSocket's says whose it is ('sub'): give the"
                        + " WebSocket a number of seconds.")
            }
            guard proven.subject == subject else {
                return .refused("The token is of another subject ('sub') than the WebSocket's.")
            }
            guard let last = proven.endMilliseconds else {
                return .refused("The token does not say when it ends ('exp').")
            }
            let until = access.end?.milliseconds(ofTokenUntil: last) ?? last
            guard now < until else { return .refused("The token ends too soon.") }
            return .extended(untilMilliseconds: until)
        }
    }
}
