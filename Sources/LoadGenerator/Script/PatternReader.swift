// SPDX-License-Identifier: Apache-2.0

/// A regular expression as it was written.
indirect enum PatternNode {
    case set(PatternSet)
    case check(PatternCheck)
    /// With its number, where what it takes is kept.
    case group(PatternNode, Int?)
    case sequence([PatternNode])
    /// The first that fits.
    case choice([PatternNode])
    /// As often as it fits, or as seldom.
    case repeated(PatternNode, least: Int, most: Int?, isLazy: Bool)
}

/// Reads a regular expression.
struct PatternReader {
    /// How often a repetition may be.
    private static let repetitionsMax = 1_000
    /// How deep groups may stand in each other.
    private static let depthMax = 100

    private let scalars: [Unicode.Scalar]
    private var at = 0
    private var depth = 0
    private var ignoresCase = false
    private var dotTakesLines = false
    private var hasLines = false
    private(set) var groupCount = 0

    init(_ text: String) { scalars = Array(text.unicodeScalars) }

    mutating func read() throws(LoadFault) -> PatternNode {
        try readOptions()
        let node = try choice()
        if at < scalars.count { throw LoadFault("a ')' has no '(' in front") }
        return node
    }

    private func peek(_ ahead: Int = 0) -> Unicode.Scalar? {
        at + ahead < scalars.count ? scalars[at + ahead] : nil
    }

    private mutating func take(_ wanted: Unicode.Scalar) -> Bool {
        guard peek() == wanted else { return false }
        at += 1
        return true
    }

    private mutating func take(_ text: String) -> Bool {
        let wanted = Array(text.unicodeScalars)
        guard scalars[at...].starts(with: wanted) else { return false }
        at += wanted.count
        return true
    }

    /// `(?i)` and the like, which may stand at the begin.
    private mutating func readOptions() throws(LoadFault) {
        while peek() == "(", peek(1) == "?", let letter = peek(2),
            "ims".unicodeScalars.contains(letter)
        {
            at += 2
            while let letter = peek(), letter != ")" {
                switch letter {
                case "i": ignoresCase = true
                case "m": hasLines = true
                case "s": dotTakesLines = true
                default:
                    throw LoadFault("there is no option '\(letter)'; there are (?i), (?m) and (?s)")
                }
                at += 1
            }
            guard take(")") else { throw LoadFault("a '(' has no ')'") }
        }
    }

    private mutating func choice() throws(LoadFault) -> PatternNode {
        var nodes = [try sequence()]
        while take("|") { nodes.append(try sequence()) }
        return nodes.count == 1 ? nodes[0] : .choice(nodes)
    }

    private mutating func sequence() throws(LoadFault) -> PatternNode {
        var nodes: [PatternNode] = []
        while let next = peek(), next != "|", next != ")" {
            nodes.append(try repeated(try piece()))
        }
        return .sequence(nodes)
    }

    private mutating func repeated(_ node: PatternNode) throws(LoadFault) -> PatternNode {
        guard let (least, most) = try times() else { return node }
        if case .check = node { throw LoadFault("a place can't be repeated") }
        let isLazy = take("?")
        if take("+") { throw LoadFault("a repetition can't be kept whole ('\(scalars[at - 2])+')") }
        if try times() != nil { throw LoadFault("a repetition is repeated: put it into a group") }
        return .repeated(node, least: least, most: most, isLazy: isLazy)
    }

    private mutating func times() throws(LoadFault) -> (Int, Int?)? {
        if take("*") { return (0, nil) }
        if take("+") { return (1, nil) }
        if take("?") { return (0, 1) }
        guard peek() == "{", let end = scalars[at...].firstIndex(of: "}") else { return nil }
        let text = String(String.UnicodeScalarView(scalars[(at + 1)..<end]))
        let parts = text.split(separator: ",", maxSplits: 1, omittingEmptySubsequences: false)
        guard let least = Int(parts[0]),
            parts.count == 1 || parts[1].isEmpty || Int(parts[1]) != nil
        else { return nil }
        let most = parts.count == 1 ? least : Int(parts[1])
        guard least >= 0, max(least, most ?? 0) <= Self.repetitionsMax, most ?? least >= least
        else {
            throw LoadFault("{\(text)} is no number of repetitions up to \(Self.repetitionsMax)")
        }
        at = end + 1
        return (least, most)
    }

    private mutating func piece() throws(LoadFault) -> PatternNode {
        guard let next = peek() else { throw LoadFault("it ends too soon") }
        at += 1
        switch next {
        case "(": return try group()
        case "[": return .set(try set())
        case ".":
            if dotTakesLines { return .set(PatternSet(kinds: [.any])) }
            return .set(PatternSet(kinds: [.range(0x0A...0x0A)], isNegated: true))
        case "^": return .check(hasLines ? .lineStart : .start)
        case "$": return .check(hasLines ? .lineEnd : .end)
        case "*", "+", "?": throw LoadFault("nothing stands in front of '\(next)'")
        case "\\": return try escape()
        default: return .set(literal(next))
        }
    }

    private mutating func group() throws(LoadFault) -> PatternNode {
        depth += 1
        guard depth <= Self.depthMax else { throw LoadFault("its groups are too deep") }
        var number: Int?
        if take("?:") {
            number = nil
        } else if peek() == "?",
            !(peek(1) == "<" && peek(2) != "=" && peek(2) != "!") && peek(1) != "P"
        {
            throw LoadFault(
                "(?\(peek(1).map(String.init) ?? "") is for patterns that go back over a text, and this one never does;"
                    + " there are (…), (?:…) and (?<name>…)")
        } else {
            if take("?") {
                _ = take("P")
                while let next = peek(), next != ">" {
                    at += 1
                    _ = next
                }
                guard take(">") else { throw LoadFault("the name of a group has no '>'") }
            }
            groupCount += 1
            number = groupCount
        }
        let node = try choice()
        guard take(")") else { throw LoadFault("a '(' has no ')'") }
        depth -= 1
        return .group(node, number)
    }

    private func literal(_ scalar: Unicode.Scalar) -> PatternSet {
        PatternSet(kinds: ranges(scalar.value...scalar.value).map { .range($0) })
    }

    /// A range, and where case does not matter the other letters too.
    private func ranges(_ range: ClosedRange<UInt32>) -> [ClosedRange<UInt32>] {
        guard ignoresCase else { return [range] }
        var all = [range]
        let (upper, lower): (ClosedRange<UInt32>, ClosedRange<UInt32>) = (0x41...0x5A, 0x61...0x7A)
        if range.overlaps(upper) {
            let part = range.clamped(to: upper)
            all.append((part.lowerBound + 0x20)...(part.upperBound + 0x20))
        }
        if range.overlaps(lower) {
            let part = range.clamped(to: lower)
            all.append((part.lowerBound - 0x20)...(part.upperBound - 0x20))
        }
        return all
    }

    private mutating func escape() throws(LoadFault) -> PatternNode {
        guard let next = peek() else { throw LoadFault("a '\\' stands at the end") }
        switch next {
        case "b", "B":
            at += 1
            return .check(.wordBorder(next == "b"))
        case "A", "z":
            at += 1
            return .check(next == "A" ? .start : .end)
        case "1"..."9":
            throw LoadFault(
                "\\\(next) stands for what a group has taken, which a pattern here can't ask for")
        default:
            if let kind = kind(next) {
                at += 1
                return .set(PatternSet(kinds: [kind]))
            }
            return .set(literal(try escaped()))
        }
    }

    private func kind(_ letter: Unicode.Scalar) -> PatternSet.Kind? {
        switch letter {
        case "d": .digit
        case "D": .noDigit
        case "w": .word
        case "W": .noWord
        case "s": .space
        case "S": .noSpace
        default: nil
        }
    }

    /// The scalar that stands behind a backslash.
    private mutating func escaped() throws(LoadFault) -> Unicode.Scalar {
        guard let next = peek() else { throw LoadFault("a '\\' stands at the end") }
        at += 1
        switch next {
        case "n": return "\n"
        case "r": return "\r"
        case "t": return "\t"
        case "f": return "\u{C}"
        case "v": return "\u{B}"
        case "0": return "\0"
        case "x", "u": return try hexadecimal(digits: next == "x" ? 2 : 4)
        default:
            guard
                !next.isASCII
                    || !(next.properties.isAlphabetic || next.properties.numericType != nil)
            else { throw LoadFault("\\\(next) means nothing here") }
            return next
        }
    }

    private mutating func hexadecimal(digits: Int) throws(LoadFault) -> Unicode.Scalar {
        var end = min(at + digits, scalars.count)
        var start = at
        if peek() == "{", let close = scalars[at...].firstIndex(of: "}") {
            (start, end) = (at + 1, close)
            at = close + 1
        } else {
            at = end
        }
        let text = String(String.UnicodeScalarView(scalars[start..<end]))
        guard let number = UInt32(text, radix: 16), let scalar = Unicode.Scalar(number) else {
            throw LoadFault("'\(text)' is no scalar in hexadecimal digits")
        }
        return scalar
    }

    /// What stands in brackets.
    private mutating func set() throws(LoadFault) -> PatternSet {
        var set = PatternSet()
        set.isNegated = take("^")
        var isFirst = true
        while let next = peek(), next != "]" || isFirst {
            isFirst = false
            at += 1
            var low = next
            if next == "\\" {
                if let letter = peek(), let kind = kind(letter) {
                    at += 1
                    set.kinds.append(kind)
                    continue
                }
                low = try escaped()
            } else if next == "[", peek() == ":" {
                throw LoadFault("there are no classes as [:alpha:]; write \\w, \\d, \\s or a-z")
            }
            var high = low
            if peek() == "-", let behind = peek(1), behind != "]" {
                at += 2
                high = behind
                if behind == "\\" { high = try escaped() }
            }
            guard low.value <= high.value else { throw LoadFault("\(low)-\(high) goes backwards") }
            set.kinds += ranges(low.value...high.value).map { .range($0) }
        }
        guard take("]") else { throw LoadFault("a '[' has no ']'") }
        return set
    }
}
