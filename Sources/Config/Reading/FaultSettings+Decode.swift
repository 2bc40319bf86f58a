// SPDX-License-Identifier: Apache-2.0

extension FaultSettings {
    static let section = Section(
        "routes[].faults", FaultSettings(),
        [
            .duration(
                "latency", \.latency, latencies,
                "by how much later what passes arrives, in each direction"),
            .duration(
                "jitter", \.jitter, latencies,
                "by how much the latency varies, to both sides, up to `latency`; the order stays"),
            .size(
                "bandwidth", \.bandwidth, bandwidths,
                "bytes that pass in a second, in each direction"),
            .duration(
                "stall", \.stall, stalls,
                "for how long nothing passes, from the moment on in which the faults begin for a WebSocket"
            ),
            .duration(
                "stallEvery", \.stallEvery, .milliseconds(1)...stalls.upperBound,
                absent: "one stall only",
                "from the begin of one stall to the next; more than `stall`"),
            chance(
                "cut", \.cut,
                "with what chance a frame is the one within which the connection to the client ends, without a Close"
            ),
            chance(
                "reset", \.reset,
                "with what chance a frame is the one at which that connection is reset"),
            chance("refuse", \.refuse, "with what chance a request for a WebSocket gets 503"),
            chance(
                "share", \.share,
                "with what chance a WebSocket, or a request for one, has any of these faults"),
            .word(
                "level", \.level,
                "`frames` delays each frame as a whole and cuts within a payload; `bytes` takes the stream to pieces "
                    + "of up to 64 bytes, each delayed by itself, and cuts anywhere in a frame"),
            .duration(
                "for", \.span, spans, absent: "as long as they stand here",
                "how long they last, from the start or reload that has read them anew"),
        ])

    private static func chance(
        _ name: String, _ path: any WritableKeyPath<FaultSettings, Int> & Sendable,
        _ meaning: String
    ) -> Setting<FaultSettings> {
        .custom(
            name, .text("percentage"),
            absent: "`\(Units.text(millionths: FaultSettings()[keyPath: path]))`", meaning
        ) { owner, value in
            let what = "a percentage from 0% to 100%, as 1% or 0.5%"
            guard let text = value.text(what) else { return false }
            guard let read = Units.millionths(of: text) else {
                value.report(
                    "found '\(text)', allowed: \(what)",
                    hint: Units.millionths(of: text + "%") == nil
                        ? nil : Nearest.didYouMean(text + "%"))
                return false
            }
            owner[keyPath: path] = read
            return true
        }
    }

    init?(_ value: Value) {
        let read = Self.section.decode(value) { faults, fields in
            faults.place = value.place
            if let clash = faults.clash {
                (fields[clash.key] ?? value).report(clash.sentence)
                return false
            }
            if faults.isEmpty {
                value.report(
                    "does nothing, allowed: at least one of latency, bandwidth, stall, cut, reset and refuse"
                )
                return false
            }
            return true
        }
        guard let read else { return nil }
        self = read
    }

    /// Reads faults of a command's options, and says what is wrong with one of them.
    ///
    /// - Parameter options: names as the configuration has them, with what was given.
    /// - Returns: the faults, or a sentence that begins with the name of the option.
    public static func read(
        _ options: [(name: String, text: String)]
    ) -> (faults: FaultSettings, problem: (name: String, sentence: String)?) {
        var faults = FaultSettings()
        for (name, text) in options {
            if let sentence = faults.set(name, text) { return (faults, (name, sentence)) }
        }
        return (faults, faults.clash.map { ($0.key, $0.sentence) })
    }

    private mutating func set(_ name: String, _ text: String) -> String? {
        switch name {
        case "latency", "jitter", "stall", "stallEvery", "for":
            let range =
                switch name {
                case "for": Self.spans
                case "stall", "stallEvery": Self.stalls
                default: Self.latencies
                }
            guard let length = Units.duration(of: text), range.contains(length) else {
                return
                    "takes a duration from \(Units.text(range.lowerBound)) to"
                    + " \(Units.text(range.upperBound)), as 200ms or 5s, found '\(text)'"
            }
            switch name {
            case "latency": latency = length
            case "jitter": jitter = length
            case "stall": stall = length
            case "stallEvery": stallEvery = length
            default: span = length
            }
        case "bandwidth":
            guard let bytes = Units.rate(of: text), Self.bandwidths.contains(bytes) else {
                return
                    "takes bytes in a second, from 100B to 1GiB, as 64k or 64KiB, found '\(text)'"
            }
            bandwidth = bytes
        case "level":
            guard let word = Level(rawValue: text) else {
                return "takes frames or bytes, found '\(text)'"
            }
            level = word
        default:
            guard let chance = Units.millionths(of: text) else {
                return "takes a percentage from 0% to 100%, as 1% or 0.5%, found '\(text)'"
            }
            switch name {
            case "cut": cut = chance
            case "reset": reset = chance
            case "refuse": refuse = chance
            case "share": share = chance
            default: return "is no fault"
            }
        }
        return nil
    }
}
