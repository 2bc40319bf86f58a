// SPDX-License-Identifier: Apache-2.0

/// Which target may import which: the rows of the architecture, and what stands beside them.
enum Arrows {
    /// Row 1, as far as the rooms use it; how a configuration is written down matters to those who
    /// turn one into what is served.
    private static let rowOne: Set<String> = ["Wire", "Router", "Reactor", "TLS"]

    /// For each target the targets of ours that it may import; every target is here.
    static let allowed: [String: Set<String>] = [
        "CLinux": [], "CIPSecMB": [], "COpenSSL": [], "CAres": [], "CQREncode": [], "CNghttp2": [],
        "CCurl": [], "CZlib": [], "CCrypt": [], "Serialization": [], "Metrics": [],
        "Wire": ["Serialization"], "Router": [], "Config": [],
        "Reactor": ["CLinux", "Serialization"],
        "TLS": ["CIPSecMB", "COpenSSL", "Serialization"],
        "QRCode": ["CQREncode"], "Tap": ["CZlib"], "HTTP2": ["CNghttp2"],
        "Ledger": rowOne,
        "Access": ["CCrypt", "Reactor", "TLS"],
        "Splice": ["Ledger", "Metrics", "Wire", "Reactor", "TLS", "Serialization"],
        "Naming": ["Ledger", "Reactor", "CAres"],
        "Proxy": [],
        "Frontend": rowOne.union([
            "Access", "HTTP2", "Ledger", "Metrics", "Proxy", "Splice", "Serialization",
        ]),
        "Log": ["Ledger", "Reactor", "TLS"], "Health": rowOne.union(["Ledger"]),
        "Traces": ["CCurl", "Ledger", "Wire", "Reactor", "TLS"],
        "Issuers": ["Access", "CCurl", "Ledger", "Reactor"],
        "Admin": ["Ledger", "Wire", "Reactor", "TLS"],
        "Trust": ["TLS"], "Doctor": ["Wire", "TLS", "HTTP2"],
        "Service": rowOne.union([
            "Access", "Config", "Ledger", "Metrics", "Splice", "Naming", "Frontend", "Log",
            "Traces", "Issuers",
            "Health", "Admin",
            "Serialization", "Tap",
        ]),
        "sluice": [
            "Config", "Reactor", "TLS", "QRCode", "Ledger", "Log", "Admin", "Doctor", "Trust",
            "Service", "Echo", "Tap", "LoadGenerator",
        ],
        "Echo": ["Wire", "Reactor", "TLS"],
        "LoadGenerator": ["Config", "Tap", "Wire", "Reactor", "TLS", "HTTP2"],
        "TestKit": ["Wire", "Reactor", "TLS"],
        "Bench": ["LoadGenerator", "Echo", "Access", "Reactor", "Wire", "Router", "TLS"],
        "FuzzTargets": ["Access", "Naming", "Proxy", "Wire", "TLS", "HTTP2", "Config"],
        "Fuzz": ["FuzzTargets"],
    ]

    /// Targets that live on the standard library, so that they stay what they are: pure.
    static let forbidden: [String: Set<String>] = [
        "Wire": ["Foundation", "FoundationEssentials", "Glibc", "Musl"],
        "Router": ["Foundation", "FoundationEssentials", "Glibc", "Musl"],
        "Proxy": ["Foundation", "FoundationEssentials", "Glibc", "Musl"],
        "Metrics": ["Foundation", "FoundationEssentials", "Glibc", "Musl"],
        "Config": ["Glibc", "Musl"],
    ]

    /// What is wrong with the imports of source files, one line each.
    static func violations(in files: [SourceFile]) -> [String] {
        files.filter { $0.isSource && $0.isSwift }.flatMap { file -> [String] in
            guard let target = file.target, let mayImport = allowed[target] else {
                return ["\(file.path): in no target that the arrows know"]
            }
            return modules(importedBy: file.text).compactMap { module in
                let isOurs = allowed[module] != nil && module != target
                if isOurs, !mayImport.contains(module) {
                    return "\(file.path): \(target) imports \(module)"
                }
                if forbidden[target]?.contains(module) == true {
                    return "\(file.path): \(target) imports \(module)"
                }
                return nil
            }
        }
    }

    /// The modules that a Swift text imports, whatever stands before or behind `import`.
    static func modules(importedBy text: String) -> [String] {
        let modifiers: Set<Substring> = [
            "public", "package", "internal", "fileprivate", "private", "@testable",
            "@preconcurrency", "@_exported", "@_implementationOnly", "@_spiOnly",
        ]
        let kinds: Set<Substring> = [
            "struct", "class", "enum", "protocol", "func", "var", "let", "typealias",
        ]
        return text.split(whereSeparator: { $0.isNewline || $0 == ";" }).compactMap { line in
            var words = line.split(whereSeparator: \.isWhitespace)[...]
            words = words.drop { modifiers.contains($0) || $0.hasPrefix("@_spi(") }
            guard words.first == "import" else { return nil }
            words = words.dropFirst().drop { kinds.contains($0) }
            return words.first?.split(separator: ".").first.map(String.init)
        }
    }

    /// What the package declares against the arrows, one line each.
    static func violations(inPackage text: String) -> [String] {
        var violations: [String] = []
        let declared = targets(inPackage: text)
        for (target, dependencies) in declared.sorted(by: { $0.key < $1.key }) {
            guard let mayImport = allowed[target] else {
                violations.append("Package.swift: \(target) is no target that the arrows know")
                continue
            }
            for dependency in dependencies.sorted()
            where allowed[dependency] != nil && !mayImport.contains(dependency) {
                violations.append("Package.swift: \(target) depends on \(dependency)")
            }
        }
        for target in allowed.keys.sorted() where declared[target] == nil {
            violations.append("Package.swift: \(target) is not declared")
        }
        return violations
    }

    /// Targets with the names in their declarations; tests, which may import anything, left out.
    private static func targets(inPackage text: String) -> [String: Set<String>] {
        let code = text.split(separator: "\n")
            .filter { !$0.drop(while: \.isWhitespace).hasPrefix("//") }.joined(separator: "\n")
        var targets: [String: Set<String>] = [:]
        for kind in [".target(", ".executableTarget(", ".systemLibrary("] {
            for declaration in code.components(after: kind) {
                let end = declaration.firstRange(of: "swiftSettings")?.lowerBound
                let quoted = declaration[..<(end ?? declaration.endIndex)].quotedWords
                guard let name = quoted.first else { continue }
                targets[name] = kind == ".systemLibrary(" ? [] : Set(quoted.dropFirst())
            }
        }
        return targets
    }
}

extension String {
    /// What stands behind each occurrence of `mark`.
    fileprivate func components(after mark: String) -> [Substring] {
        ranges(of: mark).map { self[$0.upperBound...] }
    }
}

extension Substring {
    fileprivate var quotedWords: [String] {
        split(separator: "\"", omittingEmptySubsequences: false).enumerated()
            .filter { $0.offset % 2 == 1 }.map { String($0.element) }
    }
}
