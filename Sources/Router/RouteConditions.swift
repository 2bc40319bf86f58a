// SPDX-License-Identifier: Apache-2.0

/// What a route asks of a request beside its host and path; nothing where all of it is empty.
public struct RouteConditions: Sendable, Hashable {
    /// The names of the listeners it may come by; empty for all.
    public var listeners: Set<String> = []
    /// Whether it has to ask for a WebSocket, or must not; nil for both.
    public var upgrade: Bool?
    /// The methods that it may have; empty for all.
    public var methods: Set<String> = []
    /// Fields by their names in lower case, each of which has to be there once with such a value.
    public var fields: [String: ValueGlob] = [:]
    /// Parameters of the query, each of which has to be there once with such a value.
    public var query: [String: ValueGlob] = [:]

    /// No condition.
    public init() {}

    /// Whether every request fits.
    public var isEmpty: Bool { self == RouteConditions() }

    /// How the conditions of two routes for the same host and path stand to each other.
    enum Relation: Equatable {
        /// The same requests fit both.
        case same
        /// No request fits both.
        case apart
        /// What fits the first fits the other too.
        case narrower
        /// What fits the other fits the first too.
        case wider
        /// Some requests fit both, and neither says more.
        case across

        /// That of two independent conditions together.
        static func + (left: Relation, right: Relation) -> Relation {
            switch (left, right) {
            case (.apart, _), (_, .apart): .apart
            case (.same, let other), (let other, .same): other
            case (let one, let other) where one == other: one
            default: .across
            }
        }
    }

    /// Whether all that fits these fits other conditions too, and something else fits those.
    public func isNarrower(than other: RouteConditions) -> Bool { relation(to: other) == .narrower }

    func relation(to other: RouteConditions) -> Relation {
        var relation = Self.relation(listeners, other.listeners)
        relation = relation + Self.relation(methods, other.methods)
        switch (upgrade, other.upgrade) {
        case (let one, let two) where one == two: break
        case (nil, _): relation = relation + .wider
        case (_, nil): relation = relation + .narrower
        default: relation = .apart
        }
        relation = relation + Self.relation(fields, other.fields)
        return relation + Self.relation(query, other.query)
    }

    private static func relation(_ one: Set<String>, _ other: Set<String>) -> Relation {
        if one == other { return .same }
        if one.isEmpty { return .wider }
        if other.isEmpty { return .narrower }
        if one.isDisjoint(with: other) { return .apart }
        if one.isSubset(of: other) { return .narrower }
        return one.isSuperset(of: other) ? .wider : .across
    }

    private static func relation(
        _ one: [String: ValueGlob], _ other: [String: ValueGlob]
    ) -> Relation {
        var relation = Relation.same
        for name in Set(one.keys).union(other.keys) {
            switch (one[name], other[name]) {
            case (let value?, let second?): relation = relation + value.relation(to: second)
            case (nil, _): relation = relation + .wider
            case (_, nil): relation = relation + .narrower
            }
        }
        return relation
    }

    /// Grows where a route becomes narrower, so that the narrower one is tried first.
    var rank: Int {
        func rank(_ names: Set<String>) -> Int { names.isEmpty ? 0 : 1_000_000 - names.count }
        let values = Array(fields.values) + Array(query.values)
        return rank(listeners) + rank(methods) + (upgrade == nil ? 0 : 1)
            + values.reduce(0) { $0 + $1.rank }
    }
}

/// What a value has to be: a text, in which `*` stands for any run of bytes.
public struct ValueGlob: Sendable, Hashable {
    private let text: [UInt8]

    /// A value, as it is written.
    public init(_ text: String) { self.text = Array(text.utf8) }

    /// Whether it is one value.
    var isExact: Bool { !text.contains(UInt8(ascii: "*")) }

    /// Grows where fewer values fit.
    fileprivate var rank: Int { isExact ? 3 : text.count > 1 ? 2 : 1 }

    /// Whether a value is such a one; the work grows with both lengths multiplied at most.
    public func matches(_ value: Span<UInt8>) -> Bool {
        var position = 0
        var index = 0
        // Where the last star was, and how much it stood for.
        var star: (position: Int, index: Int)?
        while index < value.count {
            if position < text.count, text[position] == UInt8(ascii: "*") {
                star = (position, index)
                position += 1
            } else if position < text.count, text[position] == value[index] {
                position += 1
                index += 1
            } else if let last = star {
                star = (last.position, last.index + 1)
                position = last.position + 1
                index = last.index + 1
            } else {
                return false
            }
        }
        return text[position...].allSatisfy { $0 == UInt8(ascii: "*") }
    }

    func relation(to other: ValueGlob) -> RouteConditions.Relation {
        if self == other { return .same }
        if isExact { return other.matches(text.span) ? .narrower : .apart }
        if other.isExact { return matches(other.text.span) ? .wider : .apart }
        if text == [UInt8(ascii: "*")] { return .wider }
        return other.text == [UInt8(ascii: "*")] ? .narrower : .across
    }
}
