// SPDX-License-Identifier: Apache-2.0

/// Something that keeps a command from doing its work, in words for whoever called it.
struct Complaint: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
