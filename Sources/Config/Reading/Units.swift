// SPDX-License-Identifier: Apache-2.0

/// Durations and sizes as people write them: a whole number and a unit.
public enum Units {
    /// Why a text is no duration or size, and what was probably meant.
    struct Fault: Error, Equatable {
        let sentence: String
        var suggestion: String?
    }

    private static let durations: [(unit: String, milliseconds: Int64)] = [
        ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1),
    ]
    private static let sizes: [(unit: String, bytes: Int)] = [
        ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10),
        ("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000), ("KB", 1_000), ("B", 1),
    ]

    /// The units of durations, as they are written.
    static var durationUnits: [String] { durations.map(\.unit) }
    /// The units of sizes, as they are written.
    static var sizeUnits: [String] { sizes.map(\.unit) }

    /// Writes a duration as configuration would: `90s`, `2m`.
    public static func text(_ duration: Duration) -> String {
        let (seconds, attoseconds) = duration.components
        let milliseconds = seconds * 1_000 + attoseconds / 1_000_000_000_000_000
        if milliseconds == 0 { return "0s" }
        // Hours read better than days up to a few.
        for (unit, length) in durations
        where milliseconds % length == 0 && (unit != "d" || milliseconds > 2 * length) {
            return "\(milliseconds / length)\(unit)"
        }
        return "\(milliseconds)ms"
    }

    /// Writes a size as configuration would: `16KiB`, `1000B`.
    public static func text(bytes: Int) -> String {
        if bytes == 0 { return "0B" }
        for (unit, size) in sizes.prefix(3) where bytes % size == 0 {
            return "\(bytes / size)\(unit)"
        }
        return "\(bytes)B"
    }

    /// Reads a duration as configuration would; nil where it is none.
    public static func duration(of text: String) -> Duration? { try? duration(text) }

    /// The bytes that a size with its unit stands for, as 64KiB; nil where it is none.
    public static func bytes(of text: String) -> Int? { try? size(text) }

    /// The bytes that a size stands for, where `k`, `M` and `G` are enough for KiB, MiB and GiB; nil where it is none.
    public static func rate(of text: String) -> Int? {
        if let bytes = bytes(of: text) { return bytes }
        guard let last = text.last, "kKMG".contains(last) else { return nil }
        return bytes(of: text.dropLast() + "\(last == "k" ? "K" : last)iB")
    }

    /// The millionths that a percentage with up to four decimals stands for, as 0.5%; nil where it is none, or more than
    /// 100%.
    public static func millionths(of text: String) -> Int? {
        guard text.hasSuffix("%") else { return nil }
        let parts = text.dropLast().split(separator: ".", omittingEmptySubsequences: false)
        guard (1...2).contains(parts.count), let whole = Int(decimal: parts[0]), whole <= 100
        else { return nil }
        var part = 0
        if parts.count == 2 {
            guard (1...4).contains(parts[1].count), let digits = Int(decimal: parts[1]) else {
                return nil
            }
            part = (parts[1].count..<4).reduce(digits) { number, _ in number * 10 }
        }
        let millionths = whole * 10_000 + part
        return millionths <= 1_000_000 ? millionths : nil
    }

    /// Writes millionths as a percentage: `1%`, `0.5%`.
    public static func text(millionths: Int) -> String {
        let (whole, part) = millionths.quotientAndRemainder(dividingBy: 10_000)
        if part == 0 { return "\(whole)%" }
        var digits = String(part + 10_000).dropFirst()
        while digits.hasSuffix("0") { digits = digits.dropLast() }
        return "\(whole).\(digits)%"
    }

    /// What was probably meant by a text that is no duration, as `5s` by `5`; nil where that can't be told.
    public static func meant(by text: String) -> String? {
        do throws(Fault) {
            _ = try duration(text)
            return nil
        } catch {
            return error.suggestion
        }
    }

    static func duration(_ text: String) throws(Fault) -> Duration {
        let (number, unit) = split(text)
        let allowed = "allowed: a whole number with ms, s, m, h or d, as in 30s"
        guard let number, !unit.isEmpty || number == "0" else {
            throw Fault(
                sentence: "found '\(text)', \(allowed)", suggestion: unit.isEmpty ? "\(text)s" : nil
            )
        }
        if number == "0" && unit.isEmpty { return .zero }
        guard let length = durations.first(where: { $0.unit == unit })?.milliseconds else {
            let meant = [
                "sec": "s", "secs": "s", "min": "m", "mins": "m", "hours": "h", "days": "d",
                "S": "s", "M": "m",
            ]
            throw Fault(
                sentence: "found '\(text)', \(allowed)",
                suggestion: meant[unit].map { "\(number)\($0)" })
        }
        guard let value = Int64(decimal: number) else { throw tooLarge(text) }
        let (milliseconds, isOverflow) = value.multipliedReportingOverflow(by: length)
        if isOverflow { throw tooLarge(text) }
        return .milliseconds(milliseconds)
    }

    static func size(_ text: String) throws(Fault) -> Int {
        let (number, unit) = split(text)
        let allowed = "allowed: a whole number with B, KiB, MiB, GiB, kB, MB or GB, as in 64KiB"
        guard let number, !unit.isEmpty || number == "0" else {
            throw Fault(
                sentence: "found '\(text)', \(allowed)", suggestion: unit.isEmpty ? "\(text)B" : nil
            )
        }
        if number == "0" && unit.isEmpty { return 0 }
        guard let size = sizes.first(where: { $0.unit == unit })?.bytes else {
            let meant = ["K": "KiB", "k": "KiB", "M": "MiB", "m": "MiB", "G": "GiB", "g": "GiB"]
            let other = sizes.first { $0.unit.lowercased() == unit.lowercased() }?.unit
            throw Fault(
                sentence: "found '\(text)', \(allowed)",
                suggestion: (meant[unit] ?? other).map { "\(number)\($0)" })
        }
        guard let value = Int(decimal: number) else { throw tooLarge(text) }
        let (bytes, isOverflow) = value.multipliedReportingOverflow(by: size)
        if isOverflow { throw tooLarge(text) }
        return bytes
    }

    private static func tooLarge(_ text: String) -> Fault {
        Fault(sentence: "found '\(text)', which is too large")
    }

    private static func split(_ text: String) -> (number: Substring?, unit: String) {
        let number = text.prefix { $0.isASCII && $0.isNumber }
        let unit = text[number.endIndex...].drop { $0 == " " }
        return (number.isEmpty ? nil : number, String(unit))
    }
}
