// SPDX-License-Identifier: Apache-2.0
import Frontend

extension Controller {
    /// Names that an upgrade tells of what is drained; of more it tells the number.
    private static let namesTold = 20

    /// What an upgrade says of drained routes and endpoints, behind its first sentence.
    ///
    /// - Parameter handed: what the new process was told.
    /// - Returns: a sentence behind a space; empty where nothing was drained.
    static func handedOn(_ handed: DrainedNames) -> String {
        if handed.isEmpty { return "" }
        let endpoints = handed.endpoints.sorted().map { "endpoint \($0)" }
        let names = endpoints + handed.routes.sorted().map { "route \($0)" }
        let more = names.count - namesTold
        let rest = more > 0 ? ", and \(more) more" : ""
        return " Drained as before: \(names.prefix(namesTold).joined(separator: ", "))\(rest)."
    }
}
