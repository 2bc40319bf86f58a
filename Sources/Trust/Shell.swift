// SPDX-License-Identifier: Apache-2.0

/// Command lines that people copy.
public enum Shell {
    /// A text as one word of a POSIX shell (XCU §2.2): as it is where it is plain, else in quotes.
    public static func word(_ text: String) -> String {
        let isPlain = text.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                true
            default: "/._-+@%:".utf8.contains(byte)
            }
        }
        return isPlain && !text.isEmpty ? text : "'" + text.replacing("'", with: "'\\''") + "'"
    }

    /// A command of these words.
    static func line(_ words: [String]) -> String { words.map(word).joined(separator: " ") }
}
