// SPDX-License-Identifier: Apache-2.0

extension OriginSettings {
    private static let allowed = "any, same or origins, as https://example.com"

    init?(_ value: Value) {
        if !value.isList {
            guard let text = value.text(Self.allowed) else { return nil }
            switch text {
            case "any": self = .any
            case "same": self = .same
            default:
                guard Self.isOrigin(text, value) else { return nil }
                self = .list(same: false, origins: [text])
            }
            return
        }
        guard let items = value.list(of: Self.allowed) else { return nil }
        var isSame = false
        var origins: [String] = []
        for item in items {
            // The origin of pages that have none is the word that YAML means nothing with.
            guard let text = item.isWrittenNull ? "null" : item.text(Self.allowed) else { continue }
            switch text {
            case "same":
                isSame = true
            case "any":
                if items.count == 1 {
                    self = .any
                    return
                }
                item.report("found 'any' among others, which then say nothing")
            default:
                if Self.isOrigin(text, item) { origins.append(text) }
            }
        }
        self = origins.isEmpty && isSame ? .same : .list(same: isSame, origins: origins)
    }

    /// RFC 6454 §6.1: scheme, host and, unless it is the scheme's own, port; or `null`.
    private static func isOrigin(_ text: String, _ value: Value) -> Bool {
        if text == "null" { return true }
        let suggestion: String?
        if let separator = text.firstRange(of: "://") {
            let rest = text[separator.upperBound...]
            let authority = rest.prefix { !"/?#".contains($0) }
            let isComplete =
                separator.lowerBound > text.startIndex && isAuthority(authority)
                && text[..<separator.lowerBound].utf8.allSatisfy { $0.isLetter || $0.isDigit }
            if isComplete, authority.endIndex == text.endIndex { return true }
            suggestion = isComplete ? String(text[..<authority.endIndex]) : nil
        } else if text == "*" {
            suggestion = "any"
        } else {
            let word = Nearest.suggestion(for: text, among: ["any", "same"])
            suggestion =
                word ?? (text.contains(".") && isAuthority(text[...]) ? "https://\(text)" : nil)
        }
        value.report(
            "found \(value.found), allowed: \(allowed)", hint: suggestion.map(Nearest.didYouMean))
        return false
    }

    private static func isAuthority(_ text: Substring) -> Bool {
        var host = text
        if let colon = text.lastIndex(of: ":"), !text.hasSuffix("]") {
            guard UInt16(decimal: text[text.index(after: colon)...]) != nil else { return false }
            host = text[..<colon]
        }
        if host.hasPrefix("["), host.hasSuffix("]") {
            return Syntax.isIPv6(host.dropFirst().dropLast())
        }
        return Syntax.isHostName(host)
    }
}
