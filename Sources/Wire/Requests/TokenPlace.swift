// SPDX-License-Identifier: Apache-2.0

/// Where a request may have a token.
public enum TokenPlace: Sendable, Hashable {
    /// `Authorization: Bearer TOKEN` (RFC 6750 §2.1).
    case header
    /// The cookie of this name.
    case cookie([UInt8])
    /// The parameter of the query of this name.
    case query([UInt8])
    /// A subprotocol that begins so: what stands behind that is the token. Browsers can set nothing else.
    case subprotocol([UInt8])
}

/// The tokens of a request, and the request without them.
public struct TokenSearch: Sendable {
    /// What was found, in the order of the places.
    public private(set) var tokens: [[UInt8]] = []
    /// Whether one of them came as a subprotocol.
    public private(set) var hasSubprotocol = false
    /// The first subprotocol that is none; nil where there is no other.
    public private(set) var otherSubprotocol: [UInt8]?
    /// The query without tokens; nil where it stays as it is.
    private(set) var query: QueryChange?
    /// Fields that go, and those that get another value, by their indices.
    private(set) var changes: [FieldChange] = []

    enum QueryChange: Sendable {
        /// Nothing is left of it.
        case removed
        case replaced([UInt8])
    }

    /// Looks for tokens in these places.
    ///
    /// - Parameters:
    ///   - places: where one may be.
    ///   - fields: the request's.
    ///   - query: what stands behind the `?` of its target; nil for none.
    public init(_ places: [TokenPlace], _ fields: FieldList, query: ArraySlice<UInt8>?) {
        for place in places {
            switch place {
            case .header: searchHeader(fields)
            case .query(let name): if let query { search(query, for: name) }
            case .cookie, .subprotocol: break
            }
        }
        let cookies = places.compactMap { place in
            if case .cookie(let name) = place { return name }
            return nil
        }
        let prefixes = places.compactMap { place in
            if case .subprotocol(let prefix) = place { return prefix }
            return nil
        }
        if !cookies.isEmpty { searchCookies(fields, cookies) }
        if !prefixes.isEmpty { searchSubprotocols(fields, prefixes) }
    }

    private mutating func searchHeader(_ fields: FieldList) {
        for (index, field) in fields.fields.enumerated()
        where fields.isNamed(field, "authorization") {
            // Who splits it at white space takes a tab for a space.
            let value = fields.value(of: field).drop { CookiePairs.mayBeSpace($0) }
            let scheme = value.prefix { !CookiePairs.mayBeSpace($0) }
            guard scheme.equalsIgnoringCase("bearer") else { continue }
            tokens.append(Array(value[scheme.endIndex...].drop { CookiePairs.mayBeSpace($0) }))
            changes.append(FieldChange(index: index, value: nil))
        }
        // Of two credentials the app could take the other.
        if !tokens.isEmpty, fields.count(of: "authorization") > tokens.count { tokens.append([]) }
    }

    private mutating func searchCookies(_ fields: FieldList, _ names: [[UInt8]]) {
        for (index, field) in fields.fields.enumerated() where fields.isNamed(field, "cookie") {
            var kept: [ArraySlice<UInt8>] = []
            var isChanged = false
            for pair in CookiePairs(fields.bytes, field.value) {
                guard let own = pair.name,
                    names.contains(where: { fields.bytes[own].elementsEqual($0) })
                else {
                    kept.append(fields.bytes[pair.whole])
                    continue
                }
                tokens.append(Array(fields.bytes[pair.value]))
                isChanged = true
            }
            guard isChanged else { continue }
            let joined = Array(kept.joined(separator: [UInt8(ascii: ";")]))
            let left = Array(joined[...].trimmed())
            changes.append(FieldChange(index: index, value: left.isEmpty ? nil : left))
        }
    }

    private mutating func searchSubprotocols(_ fields: FieldList, _ prefixes: [[UInt8]]) {
        for (index, field) in fields.fields.enumerated()
        where fields.isNamed(field, "sec-websocket-protocol") {
            var kept: [ArraySlice<UInt8>] = []
            var isChanged = false
            for element in fields.value(of: field).split(separator: Octet.comma) {
                let name = element.trimmed()
                if name.isEmpty { continue }
                if let prefix = prefixes.first(where: { name.starts(with: $0) }) {
                    tokens.append(Array(name.dropFirst(prefix.count)))
                    isChanged = true
                } else {
                    if otherSubprotocol == nil { otherSubprotocol = Array(name) }
                    kept.append(name)
                }
            }
            guard isChanged else { continue }
            hasSubprotocol = true
            let left = Array(kept.joined(separator: [Octet.comma, Octet.space]))
            changes.append(FieldChange(index: index, value: left.isEmpty ? nil : left))
        }
    }

    private mutating func search(_ whole: ArraySlice<UInt8>, for name: [UInt8]) {
        let ampersand = UInt8(ascii: "&")
        var query = whole
        switch self.query {
        case .removed: return
        case .replaced(let left): query = left[...]
        case nil: break
        }
        var kept: [ArraySlice<UInt8>] = []
        let pairs = query.split(separator: ampersand, omittingEmptySubsequences: false)
        for pair in pairs {
            let own = pair.prefix { $0 != UInt8(ascii: "=") }
            // Written with escapes it is the same name to an app.
            guard Self.isName(own, name) else {
                kept.append(pair)
                continue
            }
            tokens.append(Array(pair[own.endIndex...].dropFirst()))
        }
        guard kept.count < pairs.count else { return }
        self.query =
            kept.isEmpty ? .removed : .replaced(Array(kept.joined(separator: [ampersand])))
    }

    /// Whether a text is a name, where `%` and two digits stand for one byte.
    private static func isName(_ text: ArraySlice<UInt8>, _ name: [UInt8]) -> Bool {
        var index = text.startIndex
        for byte in name {
            guard index < text.endIndex else { return false }
            var found = text[index]
            index += 1
            if found == UInt8(ascii: "%"), index + 1 < text.endIndex,
                let high = Octet.hexValue(text[index]),
                let low = Octet.hexValue(text[index + 1])
            {
                found = high << 4 | low
                index += 2
            }
            if found != byte { return false }
        }
        return index == text.endIndex
    }
}

/// A field that goes, or that gets another value.
struct FieldChange: Sendable {
    /// Which of the fields.
    let index: Int
    /// Its value; nil where the field goes.
    let value: [UInt8]?
}

extension FieldList {
    /// Takes fields out, or gives them other values, which are put behind the head.
    mutating func change(_ changes: [FieldChange]) {
        guard !changes.isEmpty else { return }
        var removed: Set<Int> = []
        for change in changes {
            guard let value = change.value else {
                removed.insert(change.index)
                continue
            }
            let start = bytes.count
            bytes.append(contentsOf: value)
            let field = fields[change.index]
            fields[change.index] = HeadField(
                name: field.name, value: start..<bytes.count, known: field.known,
                isExact: field.isExact)
        }
        guard !removed.isEmpty else { return }
        var kept: [HeadField] = []
        kept.reserveCapacity(fields.count)
        for (index, field) in fields.enumerated() where !removed.contains(index) {
            kept.append(field)
        }
        for index in removed {
            let gone = fields[index].known
            if !kept.contains(where: { $0.known == gone && $0.isExact }) {
                known.remove(KnownFields(gone))
            }
        }
        fields = kept
    }
}

extension UpgradeRequest {
    /// Looks for tokens in these places.
    public func tokens(in places: [TokenPlace]) -> TokenSearch {
        TokenSearch(places, head.fields, query: target.query?[...])
    }

    /// Takes out what was found.
    public mutating func takeOut(_ search: TokenSearch) {
        change(search.changes)
        switch search.query {
        case nil: break
        case .removed: setQuery(nil)
        case .replaced(let query): setQuery(query)
        }
    }
}

extension OrdinaryRequest {
    /// Looks for tokens in these places.
    public func tokens(in places: [TokenPlace]) -> TokenSearch {
        TokenSearch(places, head.fields, query: queryRange.map { head.fields.bytes[$0] })
    }

    /// Takes out what was found.
    public mutating func takeOut(_ search: TokenSearch) {
        change(search.changes)
        switch search.query {
        case nil: break
        case .removed: setQuery(nil)
        case .replaced(let query): setQuery(query)
        }
    }
}

extension RequestTarget {
    /// The same target with another query, or with none.
    func with(query: [UInt8]?) -> RequestTarget {
        RequestTarget(
            path: path, sentPath: sentPath, query: query, hasEscapedSlash: hasEscapedSlash,
            hasOtherReadings: hasOtherReadings)
    }
}
