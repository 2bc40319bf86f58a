// SPDX-License-Identifier: Apache-2.0
import Reactor
import Wire

extension Refusal {
    /// The client's address is none of those that may use the route.
    static func forbiddenAddress(_ client: Address, _ route: Route) -> Refusal {
        Refusal(
            status: 403, proxyError: .httpRequestDenied,
            sentence: "The address \(client.isUnix ? "unix" : client.hostString) may not use the"
                + " route \(route.name) (routes[].access.addresses).")
    }

    /// A trusted proxy has named something as the client that is no address.
    static func unclearAddress(_ route: Route) -> Refusal {
        Refusal(
            status: 403, proxyError: .httpRequestDenied,
            sentence: "The route \(route.name) is for some addresses only"
                + " (routes[].access.addresses), and X-Forwarded-For has something else where the"
                + " client's should stand.")
    }

    /// The request has no user and password that could be judged (RFC 9110 §11.6.1).
    static func loginMissing(_ rule: BasicRule, _ route: Route) -> Refusal {
        login(
            rule,
            "The route \(route.name) wants a user and a password in one Authorization field of the"
                + " scheme Basic (routes[].access.basic).")
    }

    /// There is no such user, or the password is another.
    static func loginWrong(_ rule: BasicRule, _ route: Route) -> Refusal {
        login(
            rule,
            "The user or the password is wrong for the route \(route.name)"
                + " (routes[].access.basic).")
    }

    private static func login(_ rule: BasicRule, _ sentence: String) -> Refusal {
        var refusal = Refusal(status: 401, proxyError: .httpRequestDenied, sentence: sentence)
        refusal.extraFields = [("WWW-Authenticate", rule.challenge)]
        return refusal
    }

    /// As many passwords are being checked as may be.
    static let loginsWait = later(
        503, "Too many passwords are being checked at the moment.", seconds: 1)

    /// A reload has come while the password was being checked.
    static let loginOutlived = later(
        503, "The configuration has changed while your password was being checked.", seconds: 1)

    /// The client has as many passwords checked as one may.
    static let clientLogsInTooOften = later(
        429, "Too many passwords from your address are being checked at the moment.", seconds: 1)
}
