// SPDX-License-Identifier: Apache-2.0
import Admin
import Config
import Frontend
import Splice

/// What can be asked for at the admin socket: how a request for it looks, and which names it may hold.
///
/// The one list of them: what is not in it is refused, since a slip in a name must not be taken for a wish that
/// leaves that name out.
enum AdminErrand: CaseIterable {
    case page, health, readiness, metrics, state, live, relays, progress, tap
    case reload, drain, resume, rebalance, balance, upgrade, close, closeAll, extend, token
    case chaos, chaosOff

    /// What a name in a query or a body stands for.
    struct Field {
        enum Kind {
            case text
            /// A text of so many bytes at most.
            case shortText(Int)
            case number(ClosedRange<Int128>)
            /// `true`, said to be sure.
            case consent
            /// One of these words.
            case word([String])
        }

        let name: String
        let kind: Kind
        /// What it takes, behind `is`.
        let words: String

        static func text(_ name: String) -> Field {
            Field(name: name, kind: .text, words: "a text")
        }

        static func number(_ name: String, _ range: ClosedRange<Int128>) -> Field {
            Field(
                name: name, kind: .number(range),
                words: "a whole number, \(range.lowerBound) to \(range.upperBound)")
        }

        static func word(_ name: String, _ allowed: [String]) -> Field {
            Field(
                name: name, kind: .word(allowed),
                words: "one of \(allowed.joined(separator: ", "))")
        }

        /// A number whose bounds the one who is asked checks, with what else was asked for.
        static func number(_ name: String) -> Field {
            Field(name: name, kind: .number(0...Int128(UInt64.max)), words: "a whole number")
        }

        static let code = Field(
            name: "code", kind: .number(0...65_535), words: DrainSettings.codesAllowed)
        static let everything = Field(
            name: "everything", kind: .consent, words: "true, or left out")
    }

    /// The method; `GET` stands for `HEAD` too.
    var method: String {
        switch self {
        case .page, .health, .readiness, .metrics, .state, .live, .relays, .progress, .tap: "GET"
        case .reload, .drain, .resume, .rebalance, .balance, .upgrade, .close, .closeAll, .extend,
            .token, .chaos, .chaosOff:
            "POST"
        }
    }

    /// The segments of the path; `ID` stands for any.
    var path: [String] {
        switch self {
        case .page: []
        case .health: ["healthz"]
        case .readiness: ["readyz"]
        case .metrics: ["metrics"]
        case .state: ["state"]
        case .live: ["live"]
        case .relays: ["relays"]
        case .progress: ["drains", "ID"]
        case .token: ["token"]
        case .tap: ["tap"]
        case .reload: ["reload"]
        case .drain: ["drain"]
        case .resume: ["resume"]
        case .rebalance: ["rebalance"]
        case .balance: ["rebalance", "reactors"]
        case .upgrade: ["upgrade"]
        case .close: ["relays", "ID", "close"]
        case .closeAll: ["relays", "close"]
        case .extend: ["relays", "ID", "extend"]
        case .chaos: ["chaos"]
        case .chaosOff: ["chaos", "off"]
        }
    }

    /// What may stand in the query.
    var query: [Field] {
        switch self {
        case .live:
            [
                Field(
                    name: "filter", kind: .shortText(LiveQuery.filterBytesMax),
                    words: "a text of 1 to \(LiveQuery.filterBytesMax) bytes"),
                .word("sort", LiveQuery.Order.allCases.map(\.rawValue)),
                .number("limit", 0...Int128(LiveQuery.limitMax)),
            ]
        case .relays:
            [
                .text("route"), .text("endpoint"), .text("client"),
                .number("limit", 1...Int128(FrontendSettings.connectionsUnlimited)),
            ]
        case .tap:
            [
                .text("route"), .text("relay"), .text("client"), .text("side"), .text("opcode"),
                .number("maxBytes", 0...Int128(TapScope.payloadBytesMax)),
            ]
        case .upgrade:
            [
                .number("timeoutMilliseconds", 1...3_600_000),
                .number("settleMilliseconds", 0...Int128(AdminDefaults.settleMillisecondsMax)),
                .number("move", 0...1),
            ]
        case .close: [.code]
        default: []
        }
    }

    /// What may stand in the JSON object of the body.
    var keys: [Field] {
        switch self {
        case .drain:
            [
                .text("route"), .text("endpoint"), .everything, .code, .text("reason"),
                .number("spreadMilliseconds"), .number("timeoutMilliseconds"),
            ]
        case .closeAll:
            [.text("route"), .text("client"), .text("subject"), .code, .text("reason")]
        case .resume: [.text("route"), .text("endpoint")]
        case .extend:
            [.text("token"), .number("seconds", 1...Int128(RelayExtension.secondsMax))]
        case .chaos:
            [
                "route", "latency", "jitter", "bandwidth", "stall", "stallEvery", "cut", "reset",
                "refuse", "share", "level", "for",
            ].map { .text($0) }
        case .chaosOff: [.text("route")]
        case .rebalance:
            [
                .text("upstream"),
                Field(
                    name: "perSecond",
                    kind: .number(Int128(Int64.min)...Int128(Int64.max)),
                    words: "a whole number, \(Controller.pacesAllowed)"), .code,
            ]
        default: []
        }
    }

    /// What of `keys` has to be there.
    var needed: [String] { self == .rebalance ? ["upstream", "perSecond"] : [] }

    /// How it is written down: `GET /relays`.
    var title: String { "\(method) /\(path.joined(separator: "/"))" }

    /// All of them with the names of their queries, by method.
    static var menu: String {
        ["GET", "POST"].map { method in
            let all = allCases.filter { $0.method == method }.map { errand in
                let names = errand.query.map { "\($0.name)=" }.joined(separator: "&")
                return "/\(errand.path.joined(separator: "/"))" + (names.isEmpty ? "" : "?\(names)")
            }
            return "\(method) \(all.joined(separator: ", "))"
        }.joined(separator: "\n")
    }

    func takes(_ path: [String]) -> Bool {
        path.count == self.path.count
            && zip(path, self.path).allSatisfy { $1 == "ID" || $0 == $1 }
    }
}
