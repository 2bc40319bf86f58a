// SPDX-License-Identifier: Apache-2.0

/// A text with variables in it, as `{"room": "${room}"}`; `$${` stands for `${`.
struct LoadTemplate: Sendable, Equatable {
    private enum Part: Sendable, Equatable {
        case text(String)
        case variable(String)
    }

    private var parts: [Part] = []

    /// The variables in it.
    var names: [String] {
        parts.compactMap { if case .variable(let name) = $0 { name } else { nil } }
    }

    /// Reads a text; where a `${` has no end, it stands for itself.
    init(_ text: String) {
        var rest = text[...]
        var plain = ""
        while let mark = rest.firstRange(of: "${") {
            let before = rest[..<mark.lowerBound]
            if before.hasSuffix("$") {
                plain += before.dropLast() + "${"
                rest = rest[mark.upperBound...]
                continue
            }
            guard let end = rest[mark.upperBound...].firstIndex(of: "}") else { break }
            plain += before
            if !plain.isEmpty { parts.append(.text(plain)) }
            plain = ""
            parts.append(.variable(String(rest[mark.upperBound..<end])))
            rest = rest[rest.index(after: end)...]
        }
        plain += rest
        if !plain.isEmpty { parts.append(.text(plain)) }
    }

    /// A text without variables, whatever stands in it.
    init(verbatim text: String) { parts = [.text(text)] }

    /// The text with values in it.
    func filled(_ value: (String) -> String) -> String {
        var text = ""
        for part in parts {
            switch part {
            case .text(let plain): text += plain
            case .variable(let name): text += value(name)
            }
        }
        return text
    }
}
