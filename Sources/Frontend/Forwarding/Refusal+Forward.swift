// SPDX-License-Identifier: Apache-2.0
import Proxy
import Wire

extension Refusal {
    private static let key = "(routes[].access.forward)"

    /// The other server could not be asked, or has not answered as one can use it.
    static func notAsked(_ question: ForwardQuestion, _ cause: Cause) -> Refusal {
        let asked = "the server \(question.label) that says who may use this route \(key)"
        switch cause {
        case .answerTimeout, .connectTimeout:
            return Refusal(
                status: 504, proxyError: .httpResponseTimeout,
                sentence: "No answer came in time from \(asked).")
        case .badAnswer:
            return Refusal(
                status: 502, proxyError: .httpProtocolError,
                sentence: "T\(asked.dropFirst()) has sent an answer that can't be used.")
        case .incompleteAnswer, .noAnswer:
            return later(
                503, "The connection ended before a whole answer came from \(asked).", seconds: 1,
                proxyError: .httpResponseIncomplete)
        case .unresolved:
            return later(
                503, "The name of \(asked) does not resolve.", seconds: 1, proxyError: .dnsError)
        case .endpointsFull:
            return later(503, "All connections to \(asked) are in use.", seconds: 1)
        default:
            let why =
                question.search.lastFailure.map { ": \($0.refusal(question.label).sentence)" }
                ?? "."
            return later(
                503, "There is no connection to \(asked)\(why)", seconds: 1,
                proxyError: .destinationUnavailable)
        }
    }

    /// The other server has answered with a status that neither grants nor refuses.
    static func strangeForward(_ question: ForwardQuestion, _ status: Int) -> Refusal {
        Refusal(
            status: 502, proxyError: .httpProtocolError,
            sentence: "The server \(question.label) that says who may use this route \(key)"
                + " has answered \(status), which neither grants nor refuses it.")
    }

    /// The other server has granted, and has said more than once who the user is.
    static func namesUserAgain(_ question: ForwardQuestion) -> Refusal {
        let name = question.rule.fields.first ?? ""
        return Refusal(
            status: 502, proxyError: .httpProtocolError,
            sentence: "The server \(question.label) that says who may use this route \(key)"
                + " has answered with '\(name)' more than once, so it is not clear who the user is."
        )
    }

    /// The other server has refused; the client gets its answer.
    static func byForward(_ status: Int, _ route: Route) -> Refusal {
        Refusal(
            status: status, proxyError: .httpRequestDenied,
            sentence: "The server that says who may use the route \(route.name) \(key) has answered"
                + " \(status).")
    }
}
