// SPDX-License-Identifier: Apache-2.0

extension RouteTable {
    /// Makes the table; `RouteMatch.index` counts as `entries` does.
    ///
    /// Throws the first conflict; `conflicts(in:)` lists them all.
    public init(_ entries: [RouteEntry]) throws(RouteConflict) {
        rewrites.reserveCapacity(entries.count)
        prepare(for: entries)
        for (index, entry) in entries.enumerated() {
            if let conflict = entry.ownConflict { throw conflict }
            if let conflict = add(entry, as: Int32(index), among: entries) { throw conflict }
        }
    }

    /// All conflicts among the entries, in the order of the routes at fault.
    public static func conflicts(in entries: [RouteEntry]) -> [RouteConflict] {
        var conflicts: [RouteConflict] = []
        var table = RouteTable()
        table.prepare(for: entries)
        for (index, entry) in entries.enumerated() {
            if let conflict = entry.ownConflict { conflicts.append(conflict) }
            if let conflict = table.add(entry, as: Int32(index), among: entries) {
                conflicts.append(conflict)
            }
        }
        return conflicts
    }

    /// Routes for one host and path, which are tried one after the other.
    static let besideMax = 256

    /// Puts one route in; hands back what keeps it from standing beside those of its host and path, if something does.
    ///
    /// As the more specific pattern always wins, a route can be shadowed by an equal one only: any
    /// other leaves hosts or paths over, of which there is no end.
    private mutating func add(
        _ entry: RouteEntry, as index: Int32, among entries: [RouteEntry]
    ) -> RouteConflict? {
        let bytes = entry.path.bytes
        let anything = Set(entry.path.captures.map(\.segment))
        var segment = 0
        var node = root(for: entry.host)
        var start = 1
        // A prefix ends with its slash: the segment behind it is what the star stands for.
        let end = entry.path.isPrefix ? bytes.count - 1 : bytes.count
        while start <= end {
            var next = start
            while next < end, bytes[next] != UInt8(ascii: "/") { next += 1 }
            node =
                anything.contains(segment)
                ? addAnything(below: node) : addChild(of: node, bytes[start..<next])
            start = next + 1
            segment += 1
        }
        rewrites.append(
            entry.rewrite.map {
                Rewrite(
                    bytes: $0.bytes, dropped: $0.isPrefix ? bytes.count : nil,
                    droppedSlashes: bytes.count { $0 == UInt8(ascii: "/") },
                    pieces: Self.pieces($0, of: entry.path),
                    countsSlashes: !anything.isEmpty)
            })
        let place: WritableKeyPath<Node, Int32> = entry.path.isPrefix ? \.prefix : \.exact
        let taken = nodes[Int(node)][keyPath: place]
        guard hasConditions, taken >= 0 else {
            if taken >= 0 { return RouteConflict(between: entries[Int(taken)], entry) }
            nodes[Int(node)][keyPath: place] = index
            return nil
        }
        switch chain(index, among: entries, from: taken) {
        case .beside(let other): return RouteConflict(between: entries[Int(other)], entry)
        case .tooMany: return RouteConflict(tooManyBeside: entries[Int(taken)], entry)
        case .begins(let first):
            nodes[Int(node)][keyPath: place] = first
            return nil
        }
    }

    /// What came of putting a route in among others.
    private enum Chained {
        /// It can't stand beside that one.
        case beside(Int32)
        /// There are as many as may be.
        case tooMany
        /// The first of them is that one now.
        case begins(Int32)
    }

    private mutating func prepare(for entries: [RouteEntry]) {
        hasConditions = entries.contains { !$0.conditions.isEmpty }
        if hasConditions { others = [Int32](repeating: -1, count: entries.count) }
    }

    /// Puts a route in among those for the same host and path, the narrowest in front.
    private mutating func chain(
        _ index: Int32, among entries: [RouteEntry], from first: Int32
    ) -> Chained {
        let own = entries[Int(index)].conditions
        var before: Int32 = -1
        var entry = first
        var count = 0
        while entry >= 0 {
            count += 1
            if count == Self.besideMax { return .tooMany }
            let other = entries[Int(entry)].conditions
            switch own.relation(to: other) {
            case .same, .across: return .beside(entry)
            case .apart, .narrower, .wider: break
            }
            if other.rank >= own.rank { before = entry }
            entry = others[Int(entry)]
        }
        if before < 0 {
            others[Int(index)] = first
            return .begins(index)
        }
        others[Int(index)] = others[Int(before)]
        others[Int(before)] = index
        return .begins(first)
    }

    /// What a rewrite is put together of, where it has captures of the path.
    private static func pieces(
        _ rewrite: PathPattern, of path: PathPattern
    ) -> [Rewrite.Piece] {
        if rewrite.captures.isEmpty { return [] }
        let slash = UInt8(ascii: "/")
        var pieces: [Rewrite.Piece] = []
        var plain: [UInt8] = []
        let segments = rewrite.bytes.dropFirst()
            .split(separator: slash, omittingEmptySubsequences: false)
        for (index, segment) in segments.enumerated() {
            plain.append(slash)
            let name = rewrite.captures.first { $0.segment == index }?.name
            guard let capture = path.captures.first(where: { $0.name == name }) else {
                plain += segment
                continue
            }
            pieces += [.bytes(plain), .segment(capture.segment)]
            plain = []
        }
        return plain.isEmpty ? pieces : pieces + [.bytes(plain)]
    }

    /// The node below another one that any segment leads to.
    private mutating func addAnything(below parent: UInt32) -> UInt32 {
        hasCaptures = true
        if nodes[Int(parent)].any != 0 { return nodes[Int(parent)].any }
        // Nodes are found by the number of their edge, so this one has an edge too, which no name leads to.
        edges.append(Edge(parent: .max, hash: 0, start: 0, length: 0))
        nodes.append(Node())
        let node = UInt32(nodes.count - 1)
        nodes[Int(parent)].any = node
        return node
    }

    private mutating func root(for host: HostPattern) -> UInt32 {
        switch host {
        case .any: Self.anyHost
        case .exact(let name): addChild(of: Self.exactHosts, Array(name.utf8)[...])
        case .wildcard(let name): addChild(of: Self.wildcardHosts, Array(name.utf8)[...])
        }
    }

    private mutating func addChild(of parent: UInt32, _ name: ArraySlice<UInt8>) -> UInt32 {
        var steps = 0
        if let child = child(of: parent, name.span, 0..<name.count, steps: &steps) { return child }
        let hash = Self.hash(parent, name.span, 0..<name.count)
        edges.append(
            Edge(
                parent: parent, hash: hash, start: UInt32(names.count), length: UInt32(name.count)))
        names += name
        nodes.append(Node())
        // At most half full, so that a look-up ends after one or two slots.
        if edges.count * 2 > slots.count {
            slots = [UInt32](repeating: 0, count: slots.count * 2)
            for index in edges.indices where edges[index].parent != .max { place(edgeAt: index) }
        } else {
            place(edgeAt: edges.count - 1)
        }
        return UInt32(nodes.count - 1)
    }

    private mutating func place(edgeAt index: Int) {
        let mask = slots.count - 1
        var slot = Int(edges[index].hash) & mask
        while slots[slot] != 0 { slot = (slot + 1) & mask }
        slots[slot] = UInt32(index) + 1
    }
}

/// Two routes that cannot stand side by side, or one that cannot stand at all.
public struct RouteConflict: Error, Sendable, Equatable {
    /// Where the route that stays in effect was written.
    public let first: String
    /// Where the route at fault was written; equal to `first` if it needs no other to be wrong.
    public let second: String
    /// What is wrong, naming both places.
    public let sentence: String

    init(_ taken: RouteEntry, neverReached entry: RouteEntry) {
        first = taken.place
        second = entry.place
        sentence =
            "this route is never reached: the route at \(first) has the same host "
            + "(\(entry.host)) and path (\(entry.path))"
    }

    /// Two routes for the same host and path that can't stand side by side.
    init(between taken: RouteEntry, _ entry: RouteEntry) {
        self =
            taken.conditions == entry.conditions
            ? RouteConflict(taken, neverReached: entry) : RouteConflict(taken, beside: entry)
    }

    /// Two routes for the same host and path, neither of which is the more specific one.
    init(_ taken: RouteEntry, beside entry: RouteEntry) {
        first = taken.place
        second = entry.place
        sentence =
            "this route and the one at \(first) have the same host (\(entry.host)) and path"
            + " (\(entry.path)), and some requests fit the conditions of both, of which neither says more;"
            + " allowed: one that says all that the other says and something else, or conditions that no"
            + " request fits together"
    }

    /// One more route for a host and path than there may be.
    init(tooManyBeside taken: RouteEntry, _ entry: RouteEntry) {
        first = taken.place
        second = entry.place
        sentence =
            "this route is one more for the host (\(entry.host)) and path (\(entry.path)) that the one at"
            + " \(first) has, allowed: \(RouteTable.besideMax) of them"
    }

    init(unknown name: String, inRewriteOf entry: RouteEntry) {
        first = entry.place
        second = entry.place
        let known = entry.path.captures.map { "{\($0.name)}" }.joined(separator: ", ")
        sentence =
            "the rewrite of the route at \(second) has {\(name)}, which its path \(entry.path) has not,"
            + " allowed: \(known.isEmpty ? "no name in braces" : known)"
    }

    init(rewriteWithoutRest entry: RouteEntry) {
        first = entry.place
        second = entry.place
        sentence =
            "the route at \(second) has the exact path \(entry.path), so nothing is left that the "
            + "'*' of its rewrite could stand for"
    }
}

extension RouteConflict: CustomStringConvertible {
    /// The same as `sentence`.
    public var description: String { sentence }
}

extension RouteEntry {
    /// What is wrong with this route whatever the others are.
    fileprivate var ownConflict: RouteConflict? {
        guard let rewrite else { return nil }
        for capture in rewrite.captures
        where !path.captures.contains(where: { $0.name == capture.name }) {
            return RouteConflict(unknown: capture.name, inRewriteOf: self)
        }
        guard rewrite.isPrefix, !path.isPrefix else { return nil }
        return RouteConflict(rewriteWithoutRest: self)
    }
}
