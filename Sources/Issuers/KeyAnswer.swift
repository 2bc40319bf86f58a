// SPDX-License-Identifier: Apache-2.0
import Access

/// What an issuer answers, as far as it matters.
struct KeyAnswer: Equatable {
    /// The document, or as much of it as is read.
    private(set) var bytes: [UInt8] = []
    /// Whether there is more of it than is read.
    private(set) var isTooLong = false
    /// For how many seconds the document may be used (RFC 9111 §5.2.2); nil where it does not say.
    private(set) var maxAgeSeconds: UInt64?
    /// Where the document is instead, where it says so.
    private(set) var location: String?

    /// Takes bytes of the document; false where there are more than are read.
    mutating func take(_ piece: UnsafeRawBufferPointer) -> Bool {
        guard bytes.count + piece.count <= TokenKeys.bytesMax else {
            isTooLong = true
            return false
        }
        bytes.append(contentsOf: piece)
        return true
    }

    /// Takes a line of the head.
    mutating func takeLine(_ line: UnsafeRawBufferPointer) {
        let text = String(decoding: line.prefix(4_096), as: UTF8.self)
        if text.hasPrefix("HTTP/") {
            // Behind the head of an interim answer that of another begins.
            maxAgeSeconds = nil
            location = nil
            return
        }
        guard let colon = text.firstIndex(of: ":") else { return }
        let value = text[text.index(after: colon)...].trimmed
        switch text[..<colon].lowercased() {
        case "cache-control": noteAge(value)
        case "location": location = String(value)
        default: break
        }
    }

    private mutating func noteAge(_ value: Substring) {
        for directive in value.split(separator: ",") {
            let parts = directive.trimmed.split(separator: "=", maxSplits: 1)
            switch parts.first?.trimmed.lowercased() {
            case "no-store", "no-cache": maxAgeSeconds = 0
            case "max-age" where parts.count == 2 && maxAgeSeconds == nil:
                let digits = parts[1].trimmed.filter { $0 != "\"" }
                if !digits.isEmpty, digits.allSatisfy({ ("0"..."9").contains($0) }) {
                    maxAgeSeconds = UInt64(digits) ?? .max
                }
            default: break
            }
        }
    }
}

extension Substring {
    /// The text without white space at both ends.
    fileprivate var trimmed: Substring {
        var text = self
        while text.first?.isWhitespace == true { text.removeFirst() }
        while text.last?.isWhitespace == true { text.removeLast() }
        return text
    }
}
