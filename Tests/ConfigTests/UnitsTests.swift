// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Config

/// Durations, sizes, and the guess at what was meant.
struct UnitsTests {
    @Test(arguments: [
        ("0", Duration.zero), ("0s", .zero), ("1ms", .milliseconds(1)), ("90s", .seconds(90)),
        ("2m", .seconds(120)), ("24h", .seconds(86_400)), ("30 s", .seconds(30)),
    ])
    func `durations`(text: String, expected: Duration) throws {
        #expect(try Units.duration(text) == expected)
    }

    @Test(arguments: [
        ("0", 0), ("1B", 1), ("64KiB", 65_536), ("1MiB", 1_048_576), ("2GiB", 2_147_483_648),
        ("3kB", 3_000), ("3KB", 3_000), ("4MB", 4_000_000), ("5GB", 5_000_000_000),
    ])
    func `sizes`(text: String, expected: Int) throws {
        #expect(try Units.size(text) == expected)
    }

    @Test(arguments: ["", "s", "B", "1 2", "٣s", "1e3s", "0x1B", "--", "1.0KiB", "10w"])
    func `anything else is refused`(text: String) {
        #expect(throws: Units.Fault.self) { try Units.duration(text) }
        #expect(throws: Units.Fault.self) { try Units.size(text) }
    }

    @Test(arguments: ["0s", "1ms", "1500ms", "2s", "90s", "2m", "36h"])
    func `a duration is written as it was read`(text: String) throws {
        #expect(Units.text(try Units.duration(text)) == text)
    }

    @Test(arguments: ["0B", "1B", "1000B", "1KiB", "1536B", "16KiB", "3MiB", "7GiB"])
    func `a size is written as it was read`(text: String) throws {
        #expect(Units.text(bytes: try Units.size(text)) == text)
    }

    @Test(arguments: [
        ("adress", "address", 1), ("drian", "drain", 1), ("", "ab", 2), ("same", "same", 0),
        ("kitten", "sitting", 3), ("ab", "", 2),
    ])
    func `distance counts typing errors`(left: String, right: String, expected: Int) {
        #expect(Nearest.distance(left, right) == expected)
        #expect(Nearest.distance(right, left) == expected)
    }

    @Test func `the nearest word is suggested only if it is near`() {
        #expect(
            Nearest.suggestion(for: "MINIMUMVERSION", among: ["ciphers", "minimumVersion"]) != nil)
        #expect(Nearest.suggestion(for: "redirect", among: ["address", "tls"]) == nil)
        #expect(Nearest.suggestion(for: "x", among: []) == nil)
    }
}
