// SPDX-License-Identifier: Apache-2.0
import Config
import Frontend

/// What routes say of the requests that go upstream by them.
extension Assembly {
    /// The times of a route; nil where it has none of its own.
    static func times(_ timeouts: RouteTimeouts) -> RouteTimes? {
        guard timeouts != RouteTimeouts() else { return nil }
        var times = RouteTimes()
        times.connectMilliseconds = timeouts.connect?.wholeMilliseconds
        times.upgradeMilliseconds = timeouts.upgrade?.wholeMilliseconds
        times.answerMilliseconds = timeouts.answer?.wholeMilliseconds
        times.bodyMilliseconds = timeouts.body?.wholeMilliseconds
        times.answerBodyMilliseconds = timeouts.answerBody?.wholeMilliseconds
        return times
    }

    /// What is told of the way; nil where all is.
    static func wayTold(_ route: RouteSettings) -> WayTold? {
        guard !route.via || route.forwarded != ForwardedSettings() else { return nil }
        var told = WayTold()
        told.via = route.via
        told.xForwarded = route.forwarded.xForwarded
        told.forwarded = route.forwarded.forwarded
        if case .number(let port) = route.forwarded.port { told.port = port }
        return told
    }
}
