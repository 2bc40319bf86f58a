// SPDX-License-Identifier: Apache-2.0

/// A regular expression that is matched without going back: in time that grows with the text, whatever the expression is.
///
/// All ways through the expression are followed side by side (Thompson, Pike). So there is nothing that only going back
/// can do: no reference to what a group has taken, and no look ahead or behind.
struct LinearPattern: Sendable {
    /// What came of a search.
    enum Outcome: Equatable {
        /// Of the whole match and of each group: where it is among the scalars; nil for a group that has taken no part.
        case found([Range<Int>?])
        case none
        /// The text is too long for this expression.
        case gaveUp
    }

    /// One step of the program that an expression becomes.
    enum Step: Sendable, Equatable {
        case scalar(PatternSet)
        /// Goes on at both, the first of which is the better one.
        case split(Int, Int)
        case jump(Int)
        case save(Int)
        case check(PatternCheck)
        case match
    }

    /// Steps that one search may take: a second or two.
    static let stepsMax = 20_000_000
    /// Steps that an expression may become.
    static let lengthMax = 20_000

    let steps: [Step]
    /// How many groups it has, beside the whole.
    let groupCount: Int

    /// Reads an expression.
    ///
    /// - Throws: `LoadFault`, whose sentence completes "'…' can't be used: ".
    init(_ text: String) throws(LoadFault) {
        var reader = PatternReader(text)
        let node = try reader.read()
        var writer = PatternWriter()
        try writer.write(node)
        steps = writer.finished
        groupCount = reader.groupCount
    }

    private struct Thread {
        let at: Int
        let saved: [Int]
    }

    /// Looks for the first place that fits, and there for what comes first in the expression.
    func search(_ scalars: [Unicode.Scalar], stepsMax: Int = Self.stepsMax) -> Outcome {
        let slots = 2 * (groupCount + 1)
        let none = [Int](repeating: -1, count: slots)
        var current: [Thread] = []
        var next: [Thread] = []
        var seen = [Int](repeating: -1, count: steps.count)
        var stack: [Thread] = []
        var best: [Int]?
        var taken = 0
        /// Follows all steps that read nothing.
        func add(_ thread: Thread, to list: inout [Thread], position: Int) {
            stack.append(thread)
            while let thread = stack.popLast() {
                if seen[thread.at] == position { continue }
                seen[thread.at] = position
                taken += 1
                switch steps[thread.at] {
                case .jump(let target): stack.append(Thread(at: target, saved: thread.saved))
                case .split(let first, let second):
                    stack.append(Thread(at: second, saved: thread.saved))
                    stack.append(Thread(at: first, saved: thread.saved))
                case .save(let slot):
                    var saved = thread.saved
                    saved[slot] = position
                    stack.append(Thread(at: thread.at + 1, saved: saved))
                case .check(let check):
                    if check.holds(at: position, in: scalars) {
                        stack.append(Thread(at: thread.at + 1, saved: thread.saved))
                    }
                case .scalar, .match: list.append(thread)
                }
            }
        }
        for position in 0...scalars.count {
            // A match that begins further left is better than any that would begin here.
            if best == nil { add(Thread(at: 0, saved: none), to: &current, position: position) }
            if current.isEmpty && best != nil { break }
            next.removeAll(keepingCapacity: true)
            for thread in current {
                taken += 1
                switch steps[thread.at] {
                case .match: best = thread.saved
                case .scalar(let set):
                    guard position < scalars.count, set.contains(scalars[position]) else {
                        continue
                    }
                    add(
                        Thread(at: thread.at + 1, saved: thread.saved), to: &next,
                        position: position + 1)
                    continue
                case .split, .jump, .save, .check: continue
                }
                // Those behind it are worse.
                break
            }
            if taken > stepsMax { return .gaveUp }
            swap(&current, &next)
        }
        guard let best else { return .none }
        return .found(
            (0...groupCount).map { group in
                let (start, end) = (best[2 * group], best[2 * group + 1])
                return start < 0 || end < start ? nil : start..<end
            })
    }
}

/// A place between two scalars, and what has to stand there.
enum PatternCheck: Sendable, Equatable {
    case start, end, lineStart, lineEnd
    case wordBorder(Bool)

    func holds(at position: Int, in scalars: [Unicode.Scalar]) -> Bool {
        switch self {
        case .start: position == 0
        case .end: position == scalars.count
        case .lineStart: position == 0 || scalars[position - 1] == "\n"
        case .lineEnd: position == scalars.count || scalars[position] == "\n"
        case .wordBorder(let isWanted):
            isWanted
                == ((position > 0 && PatternSet.isWord(scalars[position - 1]))
                    != (position < scalars.count && PatternSet.isWord(scalars[position])))
        }
    }
}

/// Which scalars may stand at a place.
struct PatternSet: Sendable, Equatable {
    enum Kind: Sendable, Equatable {
        case range(ClosedRange<UInt32>)
        case digit, word, space
        case noDigit, noWord, noSpace
        case any
    }

    var kinds: [Kind] = []
    var isNegated = false

    static func isWord(_ scalar: Unicode.Scalar) -> Bool {
        if scalar.isASCII {
            return scalar == "_" || (0x30...0x39).contains(scalar.value)
                || (0x41...0x5A).contains(scalar.value & ~0x20)
        }
        return scalar.properties.isAlphabetic
    }

    private static func isDigit(_ scalar: Unicode.Scalar) -> Bool {
        (0x30...0x39).contains(scalar.value)
    }

    func contains(_ scalar: Unicode.Scalar) -> Bool {
        let isIn = kinds.contains { kind in
            switch kind {
            case .range(let range): range.contains(scalar.value)
            case .digit: Self.isDigit(scalar)
            case .word: Self.isWord(scalar)
            case .space: scalar.properties.isWhitespace
            case .noDigit: !Self.isDigit(scalar)
            case .noWord: !Self.isWord(scalar)
            case .noSpace: !scalar.properties.isWhitespace
            case .any: true
            }
        }
        return isIn != isNegated
    }
}

/// Makes steps of what was read.
private struct PatternWriter {
    private var steps: [LinearPattern.Step] = [.save(0)]
    /// How often something was written: of what is empty, no number of repetitions makes a step.
    private var writings = 0

    var finished: [LinearPattern.Step] { steps + [.save(1), .match] }

    mutating func write(_ node: PatternNode) throws(LoadFault) {
        writings += 1
        guard steps.count <= LinearPattern.lengthMax, writings <= 4 * LinearPattern.lengthMax else {
            throw LoadFault("it is too long once its repetitions are written out")
        }
        switch node {
        case .set(let set): steps.append(.scalar(set))
        case .check(let check): steps.append(.check(check))
        case .group(let node, let number):
            if let number { steps.append(.save(2 * number)) }
            try write(node)
            if let number { steps.append(.save(2 * number + 1)) }
        case .sequence(let nodes): for node in nodes { try write(node) }
        case .choice(let nodes):
            var jumps: [Int] = []
            for (index, node) in nodes.enumerated() {
                guard index < nodes.count - 1 else {
                    try write(node)
                    break
                }
                let split = steps.count
                steps.append(.match)
                try write(node)
                jumps.append(steps.count)
                steps.append(.match)
                steps[split] = .split(split + 1, steps.count)
            }
            for jump in jumps { steps[jump] = .jump(steps.count) }
        case .repeated(let node, let least, let most, let isLazy):
            for _ in 0..<least { try write(node) }
            guard let most else {
                let split = steps.count
                steps.append(.match)
                try write(node)
                steps.append(.jump(split))
                steps[split] = Self.split(split + 1, steps.count, isLazy)
                return
            }
            var splits: [Int] = []
            for _ in least..<most {
                splits.append(steps.count)
                steps.append(.match)
                try write(node)
            }
            for split in splits { steps[split] = Self.split(split + 1, steps.count, isLazy) }
        }
    }

    private static func split(_ inside: Int, _ behind: Int, _ isLazy: Bool) -> LinearPattern.Step {
        isLazy ? .split(behind, inside) : .split(inside, behind)
    }
}
