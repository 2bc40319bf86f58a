// SPDX-License-Identifier: Apache-2.0
import Access
import Reactor
import Wire

/// Signed tokens: found, judged, and taken out of what goes upstream.
extension AccessGate {
    /// Judges a request for a WebSocket by its token.
    ///
    /// - Returns: the refusal; nil where it is let in, and its token taken out.
    func judge(
        _ access: TokenAccess, _ plan: RoutePlan, _ facts: inout RequestFacts,
        _ asked: inout UpgradeRequest
    ) -> Refusal? {
        let search = asked.tokens(in: access.places)
        if let refusal = judge(access, plan, &facts, search, isUpgrade: true) { return refusal }
        asked.takeOut(search)
        if search.hasSubprotocol { facts.ownSubprotocol = search.otherSubprotocol }
        return nil
    }

    /// Judges an ordinary request in the same way.
    func judge(
        _ access: TokenAccess, _ plan: RoutePlan, _ request: inout Request
    ) -> Refusal? {
        let search = request.asked.tokens(in: access.places)
        if let refusal = judge(access, plan, &request.facts, search, isUpgrade: false) {
            return refusal
        }
        request.asked.takeOut(search)
        return nil
    }

    private func judge(
        _ access: TokenAccess, _ plan: RoutePlan, _ facts: inout RequestFacts,
        _ search: TokenSearch, isUpgrade: Bool
    ) -> Refusal? {
        let refusal: Refusal
        if search.tokens.count > 1 {
            refusal = .tokenTwice(plan.route)
        } else if let token = search.tokens.first {
            if isUpgrade && search.hasSubprotocol && search.otherSubprotocol == nil {
                refusal = .tokenIsOnlySubprotocol(plan.route)
            } else {
                let now = Clock.wallMilliseconds()
                switch access.rule.judge(token, wallMilliseconds: now) {
                case .proven(let proven):
                    guard isUpgrade, access.endsAtOnce(proven, now) else {
                        facts.token = proven
                        if !proven.subject.isEmpty { facts.user = proven.subject }
                        return nil
                    }
                    refusal = .tokenEndsAtOnce(plan.route)
                case .refused(let fault): refusal = .badToken(fault, plan.route)
                case .noKeys(let problem): refusal = .noTokenKeys(problem, plan.route)
                }
            }
        } else {
            refusal = .tokenMissing(access, plan.route)
        }
        refused(by: .jwt, plan, &facts)
        return refusal
    }
}

extension TokenAccess {
    /// Whether a WebSocket would end with its token as soon as it has begun.
    func endsAtOnce(_ token: ProvenToken, _ now: UInt64) -> Bool {
        guard let end, let last = token.endMilliseconds else { return false }
        return now >= end.milliseconds(ofTokenUntil: last)
    }
}

extension Refusal {
    /// The request has no token where one may be (RFC 6750 §3.1: no error is named).
    static func tokenMissing(_ access: TokenAccess, _ route: Route) -> Refusal {
        token(
            401, nil,
            "The route \(route.name) wants a token (JWT) in \(access.placeWords)"
                + " (routes[].access.jwt).")
    }

    /// The request has two tokens, of which the app could take the other (RFC 6750 §2).
    static func tokenTwice(_ route: Route) -> Refusal {
        token(
            400, "invalid_request",
            "The route \(route.name) wants one token, and the request has several, or another login"
                + " beside it (routes[].access.jwt.from).")
    }

    /// The token is the only subprotocol: nothing is left that could be granted, and browsers give such a socket up.
    static func tokenIsOnlySubprotocol(_ route: Route) -> Refusal {
        token(
            400, "invalid_request",
            "The token is the only subprotocol that is asked for: ask for one more, since browsers"
                + " close a WebSocket that grants none (routes[].access.jwt.from).")
    }

    /// The token is not good.
    static func badToken(_ fault: TokenFault, _ route: Route) -> Refusal {
        switch fault.kind {
        case .invalid:
            token(401, "invalid_token", "\(fault.sentence.dropLast()) (routes[].access.jwt).")
        case .insufficient:
            token(
                403, "insufficient_scope",
                "\(fault.sentence.dropLast()) (routes[].access.jwt.claims).")
        case .early:
            later(
                503, "\(fault.sentence.dropLast()) (routes[].access.jwt.keys).", seconds: 1,
                proxyError: .destinationUnavailable)
        }
    }

    /// The WebSocket would end at once.
    static func tokenEndsAtOnce(_ route: Route) -> Refusal {
        token(
            401, "invalid_token",
            "The token ends too soon for a WebSocket, which ends with it"
                + " (routes[].access.jwt.endsWithToken).")
    }

    /// No key is known yet by which the token could be judged.
    ///
    /// Why is in the log and in `sluice status`, and nothing for a client.
    static func noTokenKeys(_ problem: String?, _ route: Route) -> Refusal {
        later(
            503,
            "The keys by which tokens are judged are not there yet (routes[].access.jwt.keys).",
            seconds: problem == nil ? 1 : 5, proxyError: .destinationUnavailable)
    }

    private static func token(_ status: Int, _ error: String?, _ sentence: String) -> Refusal {
        var refusal = Refusal(status: status, proxyError: .httpRequestDenied, sentence: sentence)
        var challenge = "Bearer realm=\"Sluice\""
        if let error {
            challenge += ", error=\"\(error)\", error_description=\"\(described(sentence))\""
        }
        refusal.extraFields = [("WWW-Authenticate", challenge)]
        return refusal
    }

    /// A sentence in the characters that a description may have (RFC 6750 §3).
    private static func described(_ sentence: String) -> String {
        String(
            String.UnicodeScalarView(
                sentence.unicodeScalars.map { scalar in
                    if scalar == "\"" || scalar == "\\" { return "'" }
                    return 0x20..<0x7F ~= scalar.value ? scalar : "?"
                }))
    }
}
