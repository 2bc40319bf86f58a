// SPDX-License-Identifier: Apache-2.0
import Reactor

/// The time of day as answers say it (RFC 9110 §5.6.7), written anew once per second.
struct HTTPDate {
    private var text = ""
    private var second: UInt64?

    /// The present time: `Sun, 06 Nov 1994 08:49:37 GMT`.
    mutating func now() -> String {
        let current = Clock.wallMilliseconds() / 1_000
        if current != second {
            second = current
            text = Self.text(secondsSince1970: current)
        }
        return text
    }

    /// A moment, as IMF-fixdate.
    static func text(secondsSince1970 seconds: UInt64) -> String {
        let days = Int(seconds / 86_400)
        let second = Int(seconds % 86_400)
        // Years begin in March, so that the day that comes and goes is the last one; 1970-01-01 is day
        // 719,468 from 0000-03-01, and 400 years are 146,097 days.
        let shifted = days + 719_468
        let era = shifted / 146_097
        let dayOfEra = shifted % 146_097
        let yearOfEra =
            (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        let year = era * 400 + yearOfEra + (month <= 2 ? 1 : 0)
        let weekdays = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]
        let months = [
            "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
        ]
        func padded(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
        let time =
            padded(second / 3_600) + ":" + padded(second / 60 % 60) + ":" + padded(second % 60)
        return "\(weekdays[days % 7]), \(padded(day)) \(months[month - 1]) \(year) \(time) GMT"
    }
}
