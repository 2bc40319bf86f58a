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
                if Self.isOrigin(text, item, isAlone: items.count == 1) { origins.append(text) }
            }
        }
        self = origins.isEmpty && isSame ? .same : .list(same: isSame, origins: origins)
    }

    private static func isOrigin(_ text: String, _ value: Value, isAlone: Bool = true) -> Bool {
        guard let fault = fault(of: text, isAlone: isAlone) else { return true }
        value.report(
            "found \(value.found), allowed: \(allowed)",
            hint: fault.suggestion.map(Nearest.didYouMean))
        return false
    }

    /// Reads what a command line says beside pages of the same host.
    ///
    /// - Parameters:
    ///   - texts: origins, or `any` alone.
    ///   - more: further origins that are let in, unless it is `any`.
    /// - Throws: `OriginFault` for the first text that is none.
    public init(arguments texts: [String], more: [String] = []) throws(OriginFault) {
        if texts == ["any"] {
            self = .any
            return
        }
        let origins = texts.filter { $0 != "same" }
        for text in origins {
            if text == "any" { throw OriginFault(text: text, suggestion: nil) }
            if let fault = Self.fault(of: text, isAlone: texts.count == 1) { throw fault }
        }
        let all = origins + more
        self = all.isEmpty ? .same : .list(same: true, origins: all)
    }

    /// The origin of a page of the Web whose URL was given in its place; nil for what is no such URL.
    ///
    /// No browser sends a path in `Origin` (RFC 6454 §6.1), though some device may.
    public static func site(ofPage text: String) -> String? {
        for scheme in ["http://", "https://", "ws://", "wss://"]
        where text.lowercased().hasPrefix(scheme) {
            let rest = text.dropFirst(scheme.count)
            let authority = rest.prefix { !"/?#".contains($0) }
            return authority.endIndex == rest.endIndex ? nil : String(text[..<authority.endIndex])
        }
        return nil
    }

    /// Why a text is no origin: scheme, host and, unless it is the scheme's own, port (RFC 6454 §6.1);
    /// `null`; `*` for every host or for one label in front; or a text that no browser sends and some device
    /// does.
    ///
    /// `isAlone` says that no other stands beside it, so that it may have been meant to be `any`.
    private static func fault(of text: String, isAlone: Bool) -> OriginFault? {
        if text == "null" { return nil }
        let suggestion: String?
        if let separator = text.firstRange(of: "://") {
            let scheme = text[..<separator.lowerBound]
            let rest = text[separator.upperBound...]
            let authority = rest.prefix { !"/?#".contains($0) }
            let behind = rest[authority.endIndex...]
            // Only schemes of the Web always have a host.
            let isWeb = ["http", "https", "ws", "wss"].contains(scheme.lowercased())
            let isHost =
                authority.isEmpty
                ? !isWeb : isAuthority(authority) || behind.isEmpty && isWildcard(authority)
            if isScheme(scheme), isHost {
                if behind.isEmpty || isPath(behind) { return nil }
                suggestion = String(text[..<authority.endIndex])
            } else {
                suggestion = nil
            }
        } else if text == "*" {
            suggestion = isAlone ? "any" : nil
        } else {
            let words = isAlone ? ["any", "same"] : ["same"]
            let word = Nearest.suggestion(for: text, among: words)
            suggestion =
                word ?? (text.contains(".") && isAuthority(text[...]) ? "https://\(text)" : nil)
        }
        return OriginFault(text: text, suggestion: suggestion)
    }

    /// Whether the text is a scheme by the grammar of RFC 3986 §3.1.
    private static func isScheme(_ text: Substring) -> Bool {
        text.utf8.first?.isLetter == true
            && text.utf8.allSatisfy { $0.isLetter || $0.isDigit || "+-.".utf8.contains($0) }
    }

    /// Whether it is more than the slash that people put behind a host by mistake.
    private static func isPath(_ text: Substring) -> Bool {
        text.hasPrefix("/") && text.utf8.count > 1
            && text.utf8.allSatisfy { 0x21...0x7E ~= $0 && !"?#,".utf8.contains($0) }
    }

    private static func isWildcard(_ text: Substring) -> Bool {
        text == "*"
            || text.hasPrefix("*.") && isAuthority(text.dropFirst(2)) && !text.hasSuffix("]")
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

/// A text that is no origin.
public struct OriginFault: Error, Sendable, CustomStringConvertible {
    /// The text as it stands in the file.
    let text: String
    /// What was probably meant.
    let suggestion: String?

    /// What was found and what is allowed.
    public var description: String {
        text == "any"
            ? "'any' lets every page in, so no other origin can stand beside it"
            : "found '\(text)', allowed: any, null or origins, as https://example.com"
                + (suggestion.map { " (\(Nearest.didYouMean($0)))" } ?? "")
    }
}
