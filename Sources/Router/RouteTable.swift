// SPDX-License-Identifier: Apache-2.0

/// One route as configuration gives it: where it applies, and where it was written.
public struct RouteEntry: Sendable, Hashable {
    /// The hosts it serves.
    public let host: HostPattern
    /// The paths it serves.
    public let path: PathPattern
    /// What the upstream sees instead of `path`; a prefix keeps what stands below it.
    public let rewrite: PathPattern?
    /// Where it was written, as `sluice.yaml:12:5`; conflicts name it.
    public let place: String
    /// What else a request has to be.
    public let conditions: RouteConditions

    /// A route for what `host`, `path` and `conditions` say.
    public init(
        host: HostPattern, path: PathPattern, rewrite: PathPattern? = nil, place: String,
        conditions: RouteConditions = RouteConditions()
    ) {
        self.conditions = conditions
        self.host = host
        self.path = path
        self.rewrite = rewrite
        self.place = place
    }
}

/// What a look-up found.
public struct RouteMatch: Sendable, Equatable {
    /// Which of the entries given to the table it is.
    public let index: Int
    /// The path for the upstream: the request's own, or the rewritten one.
    public let path: [UInt8]

    /// A finding made by hand.
    public init(index: Int, path: [UInt8]) {
        self.index = index
        self.path = path
    }
}

/// All routes, made once and read by every reactor.
///
/// The table is a trie whose edges lie in one flat hash table, so a look-up costs one probe per
/// segment of the path, however many routes there are. The more specific pattern always wins, and the
/// order in which routes were written never matters: an exact host before a wildcard before any;
/// within a host an exact path before the longest prefix; a host without a matching path falls
/// through to the less specific one.
public struct RouteTable: Sendable {
    /// A point in the trie: the route that ends here and the one that takes all below.
    struct Node: Sendable {
        var exact: Int32 = -1
        var prefix: Int32 = -1
        /// The node behind a segment that may be anything; 0 for none.
        var any: UInt32 = 0
    }

    /// The way from `parent` to the node that this edge made, by one segment or host name.
    struct Edge: Sendable {
        let parent: UInt32
        let hash: UInt32
        let start: UInt32
        let length: UInt32
    }

    /// What stands in place of a prefix or path, in bytes.
    struct Rewrite: Sendable {
        let bytes: [UInt8]
        /// How many leading bytes of the request's canonical path give way; all of them when nil.
        let dropped: Int?
        /// How many slashes are among them; the last byte is one.
        let droppedSlashes: Int
        /// What is put together, where it has segments of the request's path; else empty.
        let pieces: [Piece]
        /// Whether the leading bytes differ from request to request, so that slashes are counted.
        let countsSlashes: Bool

        enum Piece: Sendable {
            case bytes([UInt8])
            case segment(Int)
        }
    }

    /// Below this node hang the exact host names, below the next the wildcards' names; the third is
    /// the root of the paths of any host.
    static let exactHosts: UInt32 = 0
    static let wildcardHosts: UInt32 = 1
    static let anyHost: UInt32 = 2
    static let rootCount = 3

    var nodes = [Node](repeating: Node(), count: rootCount)
    var edges: [Edge] = []
    /// Open addressing: 0 is empty, otherwise an index into `edges`, plus one.
    var slots = [UInt32](repeating: 0, count: 16)
    var names: [UInt8] = []
    var rewrites: [Rewrite?] = []
    /// Whether any route has segments that may be anything: the others are looked up without a way back.
    var hasCaptures = false
    /// Whether any route has conditions: where none has, a request needs no more than its host and path.
    public internal(set) var hasConditions = false
    /// For each route the one that is tried behind it, for the same host and path; -1 for none.
    ///
    /// Empty where no route has conditions.
    var others: [Int32] = []

    /// How many routes the table holds.
    public var count: Int { rewrites.count }

    /// Finds the route for a host (lower case, no port) and a canonical path.
    public func match(host: String, path: [UInt8]) -> RouteMatch? {
        var steps = 0
        return match(host: host, path: path, steps: &steps)
    }

    /// The same, adding to `steps` each slot of the hash table that was looked at.
    func match(host: String, path: [UInt8], steps: inout Int) -> RouteMatch? {
        guard path.first == UInt8(ascii: "/") else { return nil }
        let index = route(host: host.utf8.span, path: path.span, steps: &steps)
        guard index >= 0 else { return nil }
        return RouteMatch(
            index: Int(index), path: rewritten(path[...], by: Int(index)) ?? path)
    }

    /// Which of the entries serves a host (lower case, no port) and a canonical path; nothing is
    /// allocated.
    public func index(host: Span<UInt8>, path: Span<UInt8>) -> Int? {
        guard !path.isEmpty, path[0] == UInt8(ascii: "/") else { return nil }
        var steps = 0
        let index = route(host: host, path: path, steps: &steps)
        return index >= 0 ? Int(index) : nil
    }

    /// Which of the entries serves a request whose conditions are asked for; those of a host and path are tried from
    /// the narrowest on, and where none of them holds, less specific paths and hosts are.
    ///
    /// - Parameters:
    ///   - host: in lower case, without port.
    ///   - path: in its canonical form.
    ///   - holds: whether the conditions of this entry hold.
    /// - Returns: the number of the entry; nil where none serves it.
    public func index(
        host: Span<UInt8>, path: Span<UInt8>, where holds: (Int) -> Bool
    ) -> Int? {
        guard !path.isEmpty, path[0] == UInt8(ascii: "/") else { return nil }
        var steps = 0
        if let root = child(of: Self.exactHosts, host, 0..<host.count, steps: &steps) {
            let found = search(path, root, from: 1, steps: &steps, holds)
            if found >= 0 { return Int(found) }
        }
        var dot = 0
        while dot < host.count, host[dot] != UInt8(ascii: ".") { dot += 1 }
        if dot > 0, dot < host.count,
            let root = child(of: Self.wildcardHosts, host, dot + 1..<host.count, steps: &steps)
        {
            let found = search(path, root, from: 1, steps: &steps, holds)
            if found >= 0 { return Int(found) }
        }
        let found = search(path, Self.anyHost, from: 1, steps: &steps, holds)
        return found >= 0 ? Int(found) : nil
    }

    /// The first of the routes for one host and path whose conditions hold.
    private func fitting(_ first: Int32, _ holds: (Int) -> Bool) -> Int32 {
        if others.isEmpty { return first }
        var entry = first
        while entry >= 0, !holds(Int(entry)) { entry = others[Int(entry)] }
        return entry
    }

    /// Whether this entry rewrites the path.
    public func rewrites(by index: Int) -> Bool { rewrites[index] != nil }

    /// The path for the upstream, where this entry rewrites it; nil where the request's own goes on.
    ///
    /// `path` may also be one that is not canonical, if its segments are those of the canonical one.
    public func rewritten(
        _ path: ArraySlice<UInt8>, isCanonical: Bool = true, by index: Int
    ) -> [UInt8]? {
        guard let rewrite = rewrites[index] else { return nil }
        let start = rewrite.pieces.isEmpty ? rewrite.bytes : Self.made(rewrite.pieces, of: path)
        guard let dropped = rewrite.dropped else { return start }
        if isCanonical && !rewrite.countsSlashes { return start + path.dropFirst(dropped) }
        return start + Self.rest(of: path, behind: rewrite.droppedSlashes)
    }

    /// What stands behind so many slashes.
    private static func rest(
        of path: ArraySlice<UInt8>, behind slashes: Int
    ) -> ArraySlice<UInt8> {
        var rest = path
        for _ in 0..<slashes { rest = rest.drop { $0 != UInt8(ascii: "/") }.dropFirst() }
        return rest
    }

    private static func made(_ pieces: [Rewrite.Piece], of path: ArraySlice<UInt8>) -> [UInt8] {
        var made: [UInt8] = []
        for piece in pieces {
            switch piece {
            case .bytes(let bytes): made += bytes
            case .segment(let segment):
                if let range = PathCapture.range(of: segment, in: path.span) {
                    made += path.dropFirst(range.lowerBound).prefix(range.count)
                }
            }
        }
        return made
    }

    /// What this entry keeps of a canonical path that it serves and rewrites, from the slash on that ends
    /// its prefix; nil where it keeps nothing, or the whole path.
    public func keptByRewrite(_ path: [UInt8], by index: Int) -> ArraySlice<UInt8>? {
        guard let rewrite = rewrites[index], let dropped = rewrite.dropped else { return nil }
        guard rewrite.countsSlashes else { return path.dropFirst(dropped - 1) }
        let kept = Self.rest(of: path[...], behind: rewrite.droppedSlashes)
        return path[max(0, kept.startIndex - 1)...]
    }

    private func route(host: Span<UInt8>, path: Span<UInt8>, steps: inout Int) -> Int32 {
        if let root = child(of: Self.exactHosts, host, 0..<host.count, steps: &steps) {
            let found = route(path, below: root, steps: &steps)
            if found >= 0 { return found }
        }
        var dot = 0
        while dot < host.count, host[dot] != UInt8(ascii: ".") { dot += 1 }
        if dot > 0, dot < host.count,
            let root = child(of: Self.wildcardHosts, host, dot + 1..<host.count, steps: &steps)
        {
            let found = route(path, below: root, steps: &steps)
            if found >= 0 { return found }
        }
        return route(path, below: Self.anyHost, steps: &steps)
    }

    /// The same where segments may be anything: at each one the name that is written goes first, with all
    /// that is below it, then the one that may be anything, then the prefix that ends here.
    ///
    /// It goes no deeper than the routes do, however many segments a request has.
    private func search(
        _ path: Span<UInt8>, _ node: UInt32, from start: Int, steps: inout Int,
        _ holds: (Int) -> Bool
    ) -> Int32 {
        var end = start
        while end < path.count, path[end] != UInt8(ascii: "/") { end += 1 }
        if let next = child(of: node, path, start..<end, steps: &steps) {
            let found = self.found(path, below: next, from: end, steps: &steps, holds)
            if found >= 0 { return found }
        }
        let any = nodes[Int(node)].any
        if any != 0, end > start {
            let found = self.found(path, below: any, from: end, steps: &steps, holds)
            if found >= 0 { return found }
        }
        return fitting(nodes[Int(node)].prefix, holds)
    }

    private func found(
        _ path: Span<UInt8>, below node: UInt32, from end: Int, steps: inout Int,
        _ holds: (Int) -> Bool
    ) -> Int32 {
        end == path.count
            ? fitting(nodes[Int(node)].exact, holds)
            : search(path, node, from: end + 1, steps: &steps, holds)
    }

    /// Walks one segment at a time; remembers the last prefix passed, and stops where nothing leads on.
    private func route(_ path: Span<UInt8>, below root: UInt32, steps: inout Int) -> Int32 {
        if hasCaptures { return search(path, root, from: 1, steps: &steps) { _ in true } }
        var node = root
        var longestPrefix: Int32 = -1
        var start = 1
        while true {
            let prefix = nodes[Int(node)].prefix
            if prefix >= 0 { longestPrefix = prefix }
            var end = start
            while end < path.count, path[end] != UInt8(ascii: "/") { end += 1 }
            guard let next = child(of: node, path, start..<end, steps: &steps) else {
                return longestPrefix
            }
            node = next
            if end == path.count {
                let exact = nodes[Int(node)].exact
                return exact >= 0 ? exact : longestPrefix
            }
            start = end + 1
        }
    }

    /// The node that `bytes[range]` leads to from `parent`.
    func child(
        of parent: UInt32, _ bytes: Span<UInt8>, _ range: Range<Int>, steps: inout Int
    ) -> UInt32? {
        let hash = Self.hash(parent, bytes, range)
        let mask = slots.count - 1
        var slot = Int(hash) & mask
        while true {
            steps += 1
            let entry = slots[slot]
            if entry == 0 { return nil }
            let edge = edges[Int(entry) - 1]
            if edge.hash == hash, edge.parent == parent, holds(edge, bytes, range) {
                return entry - 1 + UInt32(Self.rootCount)
            }
            slot = (slot + 1) & mask
        }
    }

    private func holds(_ edge: Edge, _ bytes: Span<UInt8>, _ range: Range<Int>) -> Bool {
        guard Int(edge.length) == range.count else { return false }
        var position = Int(edge.start)
        for index in range {
            if names[position] != bytes[index] { return false }
            position += 1
        }
        return true
    }

    /// FNV-1a over the name, begun with the parent and mixed at the end so that low bits may be used.
    ///
    /// Requests cannot lengthen a chain: only configuration puts anything into the table.
    static func hash(_ parent: UInt32, _ bytes: Span<UInt8>, _ range: Range<Int>) -> UInt32 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325 ^ (UInt64(parent) &* 0x9E37_79B9_7F4A_7C15)
        for index in range {
            hash = (hash ^ UInt64(bytes[index])) &* 0x0000_0100_0000_01B3
        }
        hash = (hash ^ (hash >> 32)) &* 0xD6E8_FEB8_6659_FD93
        return UInt32(truncatingIfNeeded: hash ^ (hash >> 32))
    }
}
