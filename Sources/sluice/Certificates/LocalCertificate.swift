// SPDX-License-Identifier: Apache-2.0

/// Where a certificate for local use and its key are kept.
struct LocalCertificate {
    /// Where the authority is too.
    let directory: String
    let chainPath: String
    let keyPath: String

    /// The files in `directory` for a certificate whose first name is `name`.
    init(in directory: String, named name: String) {
        var base = name.lowercased()
        // Names that a shell, a file system and a reader take as one plain word.
        if base.hasPrefix("*") { base = "_wildcard" + base.dropFirst() }
        if base.hasPrefix("["), base.hasSuffix("]") { base = String(base.dropFirst().dropLast()) }
        base = String(base.map { $0 == ":" || $0 == "/" ? "_" : $0 })
        self.directory = directory
        chainPath = "\(directory)/\(base).pem"
        keyPath = "\(directory)/\(base)-key.pem"
    }
}
