// SPDX-License-Identifier: Apache-2.0
import Yams

/// Collects the problems of one file while it is decoded.
final class Findings {
    let file: String
    private var problems: [ConfigurationProblem] = []
    /// The names that routes may refer to.
    var upstreamNames = UpstreamNames()
    /// The names that listeners have.
    var listenerNames: [String] = []
    /// The routes whose host and path could be read, whatever else is wrong with them.
    var routes: [RouteSettings] = []

    init(file: String) {
        self.file = file
    }

    func report(_ place: SourcePlace, _ sentence: String, hint: String? = nil) {
        problems.append(ConfigurationProblem(place: place, sentence: sentence, hint: hint))
    }

    func place(_ mark: Mark?) -> SourcePlace {
        SourcePlace(file: file, line: mark?.line ?? 0, column: mark?.column ?? 0)
    }

    /// A path as the file means it: relative to the folder that the file is in.
    func resolve(_ path: String) -> String {
        guard !path.hasPrefix("/"), let slash = file.lastIndex(of: "/") else { return path }
        // People are shown it.
        var rest = path[...]
        while rest.hasPrefix("./") { rest = rest.dropFirst(2).drop { $0 == "/" } }
        return String(file[...slash]) + rest
    }

    /// Throws what was found, in the order of the file, and what `judge` finds about the routes beside it.
    func throwIfAny(
        judging judge: ([RouteSettings]) -> [ConfigurationProblem]
    ) throws(ConfigurationProblems) {
        guard !problems.isEmpty else { return }
        throw ConfigurationProblems(sorting: problems + judge(routes))
    }
}

/// Finds the word that was probably meant.
public enum Nearest {
    /// The candidate with the fewest typing errors, if they are few enough to be typing errors.
    public static func suggestion(for word: String, among candidates: [String]) -> String? {
        var best: (candidate: String, distance: Int)?
        for candidate in candidates {
            let distance = distance(word.lowercased(), candidate.lowercased())
            if distance < best?.distance ?? .max { best = (candidate, distance) }
        }
        guard let best else { return nil }
        let errorsMax = max(1, max(word.count, best.candidate.count) / 3)
        return best.distance <= errorsMax ? best.candidate : nil
    }

    static func hint(for word: String, among candidates: [String]) -> String? {
        suggestion(for: word, among: candidates).map(didYouMean)
    }

    static func didYouMean(_ word: String) -> String { "did you mean '\(word)'?" }

    /// How many characters must be put in, left out, changed or swapped with their neighbour.
    static func distance(_ left: String, _ right: String) -> Int {
        let left = Array(left.unicodeScalars)
        let right = Array(right.unicodeScalars)
        var beforeLast: [Int] = []
        var last = Array(0...right.count)
        for (row, scalar) in left.enumerated() {
            var current = [row + 1]
            for (column, other) in right.enumerated() {
                let replaced = last[column] + (scalar == other ? 0 : 1)
                var best = min(replaced, last[column + 1] + 1, current[column] + 1)
                if row > 0, column > 0, scalar == right[column - 1], left[row - 1] == other {
                    best = min(best, beforeLast[column - 1] + 1)
                }
                current.append(best)
            }
            beforeLast = last
            last = current
        }
        return last[right.count]
    }
}
