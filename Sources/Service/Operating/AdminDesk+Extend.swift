// SPDX-License-Identifier: Apache-2.0
import Admin
import Frontend
import Ledger

/// More time for a WebSocket that ends with its token.
extension AdminDesk {
    private struct ExtendRequest: Decodable {
        var token: String?
        var seconds: UInt64?
    }

    private struct Extended: Encodable {
        let id: String
        let ends: String
    }

    func extend(_ wish: AdminWish) -> AdminAnswer {
        guard let request = wish.read(ExtendRequest.self) else {
            return AdminAnswer(status: 400, text: "The body can't be read.")
        }
        let wanted: RelayExtension
        switch (request.token, request.seconds) {
        case (let token?, nil): wanted = .token(Array(token.utf8))
        case (nil, let seconds?): wanted = .seconds(seconds)
        default:
            return AdminAnswer(
                status: 400, text: "Send {\"token\": …} or {\"seconds\": …}: one of the two.")
        }
        let reached = reach(wish.id) { id -> RelayExtension.Outcome?? in
            let outcome = controller.frontend.extend(id, by: wanted)
            if case .noRelay? = outcome { return nil }
            return .some(outcome)
        }
        switch reached {
        case .silent, .asked(nil): return Self.silent
        case .moving: return Self.moving
        case .asked(.extended(let until)?):
            return AdminAnswer(json: Extended(id: wish.id, ends: Self.time(until)))
        case .nowhere, .asked(.noRelay?):
            return AdminAnswer(
                status: 404,
                text: "There is no relay \(wish.id): it has ended or is ending, or never was."
                    + " `sluice status --relays` lists those that live."
                    + controller.drainsElsewhere)
        case .asked(.hasNoEnd?):
            return AdminAnswer(
                status: 409,
                text:
                    "The relay \(wish.id) does not end with a token, so there is nothing to extend"
                    + " (routes[].access.jwt.endsWithToken).")
        case .asked(.hasNoRule(let route)?):
            return AdminAnswer(
                status: 409,
                text: "The route \(route) asks for no token any more, so nothing judges one."
                    + " Send {\"seconds\": …} instead.")
        case .asked(.noKeys?):
            return AdminAnswer(
                status: 503, text: "The keys by which tokens are judged are not there yet.")
        case .asked(.early(let sentence)?):
            return AdminAnswer(
                status: 503, text: "Nothing was changed. \(sentence) Send it again in a second.")
        case .asked(.refused(let sentence)?):
            return AdminAnswer(status: 403, text: "Nothing was changed. \(sentence)")
        }
    }
}
