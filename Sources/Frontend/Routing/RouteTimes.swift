// SPDX-License-Identifier: Apache-2.0
import Proxy
import Splice

/// Times of one route in milliseconds, each of which takes the place of one of `FrontendSettings`.
public struct RouteTimes: Sendable, Equatable {
    /// For connecting to the upstream, all endpoints and addresses together.
    public var connectMilliseconds: UInt64?
    /// From the request sent upstream to its answer.
    public var upgradeMilliseconds: UInt64?
    /// From an ordinary request sent upstream to the head of its answer.
    public var answerMilliseconds: UInt64?
    /// Without a byte of a request's body from the client, or of an answer's taken by it.
    public var bodyMilliseconds: UInt64?
    /// Without a byte of an answer's body from the upstream.
    public var answerBodyMilliseconds: UInt64?

    /// A route without times of its own.
    public init() {}

    /// Whether the time is the route's own that was over where a request has ended for this cause.
    func has(_ cause: Cause, isUpgrade: Bool) -> Bool {
        switch cause {
        case .connectTimeout: connectMilliseconds != nil
        case .answerTimeout: (isUpgrade ? upgradeMilliseconds : answerMilliseconds) != nil
        case .answerStalled: answerBodyMilliseconds != nil
        case .bodyTimeout: bodyMilliseconds != nil
        default: false
        }
    }
}

/// The times that hold for the requests of a route: its own, or those of everybody.
///
/// Asked of the snapshot, since settings as a value would be copied for each request.
extension Snapshot {
    var lingerMilliseconds: UInt64 { settings.patience.lingerMilliseconds }

    func connect(_ plan: RoutePlan?) -> UInt64 {
        plan?.times?.connectMilliseconds ?? settings.connectMilliseconds
    }

    func upgrade(_ plan: RoutePlan?) -> UInt64 {
        plan?.times?.upgradeMilliseconds ?? settings.upgradeMilliseconds
    }

    func answer(_ plan: RoutePlan?) -> UInt64 {
        plan?.times?.answerMilliseconds ?? settings.answerMilliseconds
    }

    func body(_ plan: RoutePlan?) -> UInt64 {
        plan?.times?.bodyMilliseconds ?? settings.bodyMilliseconds
    }

    func answerBody(_ plan: RoutePlan?) -> UInt64 {
        plan?.times?.answerBodyMilliseconds ?? settings.answerBodyMilliseconds
    }
}
