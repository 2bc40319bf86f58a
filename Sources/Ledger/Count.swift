// SPDX-License-Identifier: Apache-2.0

/// Numbers of things as people read them.
public enum Count {
    /// A number with its noun, which gets an `s` unless there is one: `1 relay`, `2 relays`.
    public static func words(_ count: some BinaryInteger, _ noun: String) -> String {
        "\(count) \(noun)\(count == 1 ? "" : "s")"
    }

    /// The same with a verb behind it: `1 relay is`, `2 relays are`.
    public static func words(
        _ count: some BinaryInteger, _ noun: String, one: String, many: String
    ) -> String {
        "\(words(count, noun)) \(count == 1 ? one : many)"
    }
}
