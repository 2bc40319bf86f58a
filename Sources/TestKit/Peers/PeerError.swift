// SPDX-License-Identifier: Apache-2.0

import Glibc

/// What a test peer was doing when it could not go on, as a sentence for the test's report.
public struct PeerError: Error, CustomStringConvertible, Sendable {
    /// The sentence.
    public let description: String

    /// An error that says `description`.
    public init(_ description: String) {
        self.description = description
    }

    /// A failed system call, with the text of its errno.
    static func system(_ call: String, _ code: Int32 = errno) -> PeerError {
        PeerError("\(call): \(String(cString: strerror(code)))")
    }
}

/// Shows bytes in a failure: text where they are text, hex otherwise, never more than 200 of them.
func show(_ bytes: some Collection<UInt8>) -> String {
    let head = bytes.prefix(200)
    let rest = bytes.count > 200 ? "… (\(bytes.count) bytes)" : ""
    let isText = head.allSatisfy { ($0 >= 0x20 && $0 < 0x7f) || $0 == 13 || $0 == 10 }
    if isText {
        return "\"" + String(decoding: head, as: UTF8.self).replacing("\r\n", with: "␍␊") + "\""
            + rest
    }
    let digits = Array("0123456789abcdef")
    let hex = head.map { "\(digits[Int($0 >> 4)])\(digits[Int($0 & 15)])" }
    return hex.joined(separator: " ") + rest
}
