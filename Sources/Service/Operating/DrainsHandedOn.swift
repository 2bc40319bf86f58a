// SPDX-License-Identifier: Apache-2.0
import Frontend

extension Controller {
    /// What an upgrade says of drained routes and endpoints, behind its first sentence.
    ///
    /// - Parameters:
    ///   - handed: what the new process was told.
    ///   - now: what is drained now that it serves.
    /// - Returns: sentences, each behind a space; empty where nothing was drained.
    static func handedOn(_ handed: DrainedNames, now: DrainedNames) -> String {
        var sentences = ""
        if !handed.isEmpty {
            sentences += " Drained as before: \(words(handed))."
        }
        if handed != now {
            sentences +=
                " What was drained or resumed during the upgrade the new process does not know: drain or"
                + " resume it again."
        }
        return sentences
    }

    private static func words(_ drained: DrainedNames) -> String {
        let endpoints = drained.endpoints.sorted().map { "endpoint \($0)" }
        let routes = drained.routes.sorted().map { "route \($0)" }
        return (endpoints + routes).joined(separator: ", ")
    }
}
