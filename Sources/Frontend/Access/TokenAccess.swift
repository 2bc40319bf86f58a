// SPDX-License-Identifier: Apache-2.0
public import Access
public import Wire

/// A signed token that requests of a route have to have.
public struct TokenAccess: Sendable {
    /// What it has to be.
    public let rule: TokenRule
    /// Where it may be.
    public let places: [TokenPlace]
    /// How a WebSocket ends with it; nil for not at all.
    public let end: End?
    /// The places as people write them, for sentences.
    let placeWords: String

    /// How a WebSocket ends with its token.
    public struct End: Sendable {
        /// The code of the Close.
        public let code: UInt16
        /// How long before the token, in milliseconds.
        public let beforeMilliseconds: UInt64

        /// With a Close of this code, so many milliseconds before the token.
        public init(code: UInt16, beforeMilliseconds: UInt64) {
            self.code = code
            self.beforeMilliseconds = beforeMilliseconds
        }

        /// When a WebSocket ends whose token does then, both in milliseconds since 1970.
        func milliseconds(ofTokenUntil end: UInt64) -> UInt64 { end - min(end, beforeMilliseconds) }
    }

    /// A token that this rule judges, in one of these places.
    public init(rule: TokenRule, places: [TokenPlace], end: End?) {
        self.rule = rule
        self.places = places
        self.end = end
        placeWords = places.map(\.words).joined(separator: " or ")
    }
}

extension TokenPlace {
    /// The place in a sentence behind `in`.
    fileprivate var words: String {
        func text(_ name: [UInt8]) -> String { String(decoding: name, as: UTF8.self) }
        return switch self {
        case .header: "an Authorization field of the scheme Bearer"
        case .cookie(let name): "the cookie \(text(name))"
        case .query(let name): "the parameter \(text(name)) of the query"
        case .subprotocol(let prefix): "a subprotocol that begins with \(text(prefix))"
        }
    }
}
