// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Config

/// Numbers on the command line: what is none, or one that is not allowed, is refused with what is.
enum Number {
    /// A whole number in a range.
    static func read(_ option: String, _ text: String, _ range: ClosedRange<Int>) throws -> Int {
        guard let number = Int(text), range.contains(number) else {
            throw ValidationError(
                "\(option) takes a whole number from \(range.lowerBound) to \(range.upperBound), found"
                    + " \(text).")
        }
        return number
    }

    /// Seconds, with or without a fraction, above 0 or from 0 on.
    static func seconds(
        _ option: String, _ text: String, max: Double, hasZero: Bool = false
    ) throws -> Double {
        guard let number = Double(text), number.isFinite, number <= max,
            number > 0 || hasZero && number == 0
        else {
            // Elsewhere the same is written with a unit.
            let meant = Units.duration(of: text).flatMap { duration -> String? in
                let seconds = Double(duration.wholeMilliseconds) / 1_000
                guard seconds <= max, seconds > 0 || hasZero else { return nil }
                return seconds == seconds.rounded() ? "\(Int(seconds))" : "\(seconds)"
            }
            throw ValidationError(
                "\(option) takes seconds, \(hasZero ? "from 0" : "more than 0") and at most"
                    + " \(Int(max)), found \(text).\(didYouMean(option, meant))")
        }
        return number
    }

    /// A duration with its unit, as 30s, from 0 or the shortest one on up to `max`.
    static func duration(
        _ option: String, _ text: String, max: Duration, hasZero: Bool = false
    ) throws -> Duration {
        guard let duration = Units.duration(of: text), duration <= max,
            duration > .zero || hasZero
        else {
            let meant = Units.meant(by: text).flatMap { meant in
                Units.duration(of: meant).flatMap {
                    $0 <= max && ($0 > .zero || hasZero) ? meant : nil
                }
            }
            let range = "\(hasZero ? "" : "above 0s and ")up to \(Units.text(max))"
            throw ValidationError(
                "\(option) takes a duration \(range), as 30s, found \(text)."
                    + didYouMean(option, meant))
        }
        return duration
    }

    private static func didYouMean(_ option: String, _ value: String?) -> String {
        value.map { " Did you mean \(option) \($0)?" } ?? ""
    }
}
