// SPDX-License-Identifier: Apache-2.0

/// What may stand behind a key: the reference and the schema say it, and the reader holds to it.
indirect enum SettingType: Sendable, Equatable {
    case duration(ClosedRange<Duration>)
    case size(ClosedRange<Int>)
    case number(ClosedRange<Int>)
    case boolean
    /// One of these words.
    case words([String])
    /// Text of a kind that the reference names: `path`, `pattern`, `address`.
    case text(String)
    case list(SettingType)
    /// Any names, each with a value of this type.
    case names(SettingType)
    /// A mapping whose keys stand in the section of this title.
    case mapping(String)
    case either([SettingType])

    /// The type in the reference's words, with its bounds.
    var reference: String {
        switch self {
        case .duration(let range):
            "duration, \(Units.text(range.lowerBound)) to \(Units.text(range.upperBound))"
        case .size(let range):
            range.upperBound == .max
                ? "size"
                : "size, \(Units.text(bytes: range.lowerBound)) to \(Units.text(bytes: range.upperBound))"
        case .number(let range):
            range.upperBound >= 1_000_000
                ? "number" : "number, \(range.lowerBound) to \(range.upperBound)"
        case .boolean: "`true` or `false`"
        case .words(let words): Self.listed(words.map { "`\($0)`" })
        case .text(let kind): kind
        case .list: "list"
        case .names, .mapping: "mapping"
        case .either(let types): Self.listed(types.map(\.reference))
        }
    }

    private static func listed(_ words: [String]) -> String {
        guard let last = words.last, words.count > 1 else { return words.first ?? "" }
        return words.dropLast().joined(separator: ", ") + " or " + last
    }
}

/// One key of a mapping, declared in one place: its name, what may stand behind it and within which
/// bounds, what holds without it, what it means, and how it is read.
///
/// The decoder, docs/configuration.md and the schema for editors are made of it.
struct Setting<Owner: Sendable>: Sendable {
    let name: String
    let type: SettingType
    var isRequired = false
    /// Whether it is read before the others, which need what it says.
    var isReadFirst = false
    /// What holds without the key, as the reference shows it.
    let defaultText: @Sendable (Owner) -> String
    /// The line of the reference.
    let meaning: String
    /// Reads the value; false where it is not what it must be, which has been reported.
    let read: @Sendable (inout Owner, Value) -> Bool

    /// A key that is read in a way of its own; `absent` is what holds without it, in words.
    static func custom(
        _ name: String, _ type: SettingType, absent: String, _ meaning: String,
        read: @escaping @Sendable (inout Owner, Value) -> Bool
    ) -> Setting {
        Setting(
            name: name, type: type, defaultText: { _ in absent }, meaning: meaning, read: read)
    }

    /// A key that must be there.
    static func required(
        _ name: String, _ type: SettingType, _ meaning: String,
        read: @escaping @Sendable (inout Owner, Value) -> Bool
    ) -> Setting {
        Setting(
            name: name, type: type, isRequired: true, defaultText: { _ in "required" },
            meaning: meaning, read: read)
    }

    /// The same setting, read before the others of its section.
    var readFirst: Setting {
        var first = self
        first.isReadFirst = true
        return first
    }

    static func duration(
        _ name: String, _ path: any WritableKeyPath<Owner, Duration> & Sendable,
        _ range: ClosedRange<Duration>, _ meaning: String
    ) -> Setting {
        plain(name, path, .duration(range), meaning, { Units.text($0) }) { $0.duration(range) }
    }

    static func duration(
        _ name: String, _ path: any WritableKeyPath<Owner, Duration?> & Sendable,
        _ range: ClosedRange<Duration>, absent: String = "no limit", _ meaning: String
    ) -> Setting {
        optional(name, path, .duration(range), absent, meaning) { $0.duration(range) }
    }

    static func size(
        _ name: String, _ path: any WritableKeyPath<Owner, Int> & Sendable,
        _ range: ClosedRange<Int>, _ meaning: String
    ) -> Setting {
        plain(name, path, .size(range), meaning, { Units.text(bytes: $0) }) { $0.size(range) }
    }

    static func size(
        _ name: String, _ path: any WritableKeyPath<Owner, Int?> & Sendable,
        _ range: ClosedRange<Int>, absent: String = "no limit", _ meaning: String
    ) -> Setting {
        optional(name, path, .size(range), absent, meaning) { $0.size(range) }
    }

    static func number(
        _ name: String, _ path: any WritableKeyPath<Owner, Int> & Sendable,
        _ range: ClosedRange<Int>, _ meaning: String
    ) -> Setting {
        plain(name, path, .number(range), meaning, { String($0) }) { $0.integer(range) }
    }

    static func number(
        _ name: String, _ path: any WritableKeyPath<Owner, Int?> & Sendable,
        _ range: ClosedRange<Int>, absent: String = "no limit", _ meaning: String
    ) -> Setting {
        optional(name, path, .number(range), absent, meaning) { $0.integer(range) }
    }

    static func boolean(
        _ name: String, _ path: any WritableKeyPath<Owner, Bool> & Sendable, _ meaning: String
    ) -> Setting {
        plain(name, path, .boolean, meaning, { String($0) }) { $0.boolean() }
    }

    static func word<Word: RawRepresentable & CaseIterable & Sendable>(
        _ name: String, _ path: any WritableKeyPath<Owner, Word> & Sendable, _ meaning: String
    ) -> Setting where Word.RawValue == String {
        plain(
            name, path, .words(Word.allCases.map(\.rawValue)), meaning, { $0.rawValue }
        ) { $0.word(Word.self) }
    }

    /// Text that is taken as it is; `what` says what is allowed where it is none.
    static func text(
        _ name: String, _ path: any WritableKeyPath<Owner, String?> & Sendable,
        kind: String = "text",
        what: String, absent: String, _ meaning: String
    ) -> Setting {
        optional(name, path, .text(kind), absent, meaning) { $0.text(what) }
    }

    /// A mapping that another section describes, whose own defaults hold where it is left out.
    static func section<Part>(
        _ name: String, _ path: any WritableKeyPath<Owner, Part> & Sendable, _ title: String,
        absent: String = "see below", _ meaning: String,
        decode: @escaping @Sendable (Value) -> Part?
    ) -> Setting {
        custom(name, .mapping(title), absent: absent, meaning) { owner, value in
            guard let part = decode(value) else { return false }
            owner[keyPath: path] = part
            return true
        }
    }

    private static func plain<Part>(
        _ name: String, _ path: any WritableKeyPath<Owner, Part> & Sendable, _ type: SettingType,
        _ meaning: String, _ text: @escaping @Sendable (Part) -> String,
        _ read: @escaping @Sendable (Value) -> Part?
    ) -> Setting {
        Setting(
            name: name, type: type, defaultText: { "`\(text($0[keyPath: path]))`" },
            meaning: meaning
        ) { owner, value in
            guard let part = read(value) else { return false }
            owner[keyPath: path] = part
            return true
        }
    }

    private static func optional<Part>(
        _ name: String, _ path: any WritableKeyPath<Owner, Part?> & Sendable, _ type: SettingType,
        _ absent: String, _ meaning: String, _ read: @escaping @Sendable (Value) -> Part?
    ) -> Setting {
        custom(name, type, absent: absent, meaning) { owner, value in
            guard let part = read(value) else { return false }
            owner[keyPath: path] = part
            return true
        }
    }
}

/// The keys that one mapping of the configuration may have, and what a mapping without any means.
struct Section<Owner: Sendable>: Sendable {
    /// The heading in the reference: the path of the mapping.
    let title: String
    private let make: @Sendable () -> Owner
    private let settings: [Setting<Owner>]

    /// A section whose mapping becomes what `make` gives, changed by the keys that are there.
    init(
        _ title: String, _ make: @escaping @Sendable @autoclosure () -> Owner,
        _ settings: [Setting<Owner>]
    ) {
        self.title = title
        self.make = make
        self.settings = settings
    }

    /// The same without its reader.
    var keys: KeySection {
        let owner = make()
        return KeySection(
            title: title,
            keys: settings.map {
                KeySection.Key(
                    name: $0.name, type: $0.type, isRequired: $0.isRequired,
                    defaultText: $0.defaultText(owner), meaning: $0.meaning)
            })
    }

    /// Reads a mapping; what is wrong with it is reported.
    ///
    /// - Parameters:
    ///   - value: where the mapping should be.
    ///   - check: judges what can't be judged key by key; false where nothing can be made of it.
    /// - Returns: nil where there is no mapping, or a required key is missing or wrong.
    func decode(
        _ value: Value, check: (inout Owner, Fields) -> Bool = { _, _ in true }
    ) -> Owner? {
        guard let fields = value.mapping(keys) else { return nil }
        var owner = make()
        var isComplete = true
        let ordered = settings.filter(\.isReadFirst) + settings.filter { !$0.isReadFirst }
        for setting in ordered {
            var found = setting.isRequired ? fields.required(setting.name) : fields[setting.name]
            // What others need is read under a mistyped key too: one mistake is told once.
            if setting.isReadFirst { found = found ?? fields.meant(setting.name) }
            let isRead = found.map { setting.read(&owner, $0) } ?? false
            if setting.isRequired && !isRead { isComplete = false }
        }
        return check(&owner, fields) && isComplete ? owner : nil
    }
}

/// The keys of one mapping as the reference, the schema and the reader of mappings need them.
struct KeySection: Sendable {
    struct Key: Sendable {
        let name: String
        let type: SettingType
        let isRequired: Bool
        /// The default as the reference shows it.
        let defaultText: String
        /// What the key means.
        let meaning: String

        /// The row in the reference's table.
        var row: String { "| `\(name)` | \(type.reference) | \(defaultText) | \(meaning) |" }
    }

    /// The heading in the reference: the path of the mapping.
    let title: String
    let keys: [Key]

    var names: [String] { keys.map(\.name) }

    /// All sections, in the order of the reference.
    static let all: [KeySection] = [
        Configuration.section.keys, ListenerSettings.section.keys, TLSSettings.section.keys,
        TransportSecuritySettings.section.keys, CertificateSettings.section.keys,
        HTTP2Settings.section.keys,
        RouteSettings.section.keys, RespondSettings.section.keys, RedirectSettings.section.keys,
        WhenSettings.section.keys, AcceptSettings.section.keys,
        AccessSettings.section.keys, AddressRules.section.keys, BasicSettings.section.keys,
        TokenSettings.section.keys, TokenSettings.endSection.keys,
        ClientCertificateSettings.section.keys, CertificateRuleSettings.section.keys,
        ForwardSettings.section.keys,
        RouteSettings.requestSection.keys, RouteSettings.answerSection.keys,
        PingSettings.section.keys, RouteLimits.section.keys, FaultSettings.section.keys,
        RouteMetrics.section.keys,
        RouteTimeouts.section.keys, ForwardedSettings.section.keys, UpstreamSettings.section.keys,
        EndpointSettings.section.keys, StickySettings.section.keys,
        UpstreamTLSSettings.section.keys, CertificateSettings.clientSection.keys,
        HealthSettings.section.keys, QueueSettings.section.keys, PoolSettings.section.keys,
        DrainSettings.section.keys, AdminSettings.section.keys, MetricsSettings.section.keys,
        TraceSettings.section.keys,
        ResolverSettings.section.keys, ProcessTLSSettings.section.keys,
        TimeoutSettings.section.keys, LogSettings.section.keys, GlobalLimits.section.keys,
    ]
}
