// SPDX-License-Identifier: Apache-2.0
import ArgumentParser

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
            throw ValidationError(
                "\(option) takes seconds, \(hasZero ? "from 0" : "more than 0") and at most"
                    + " \(Int(max)), found \(text).")
        }
        return number
    }
}
