// SPDX-License-Identifier: Apache-2.0

extension LoadPlan {
    /// What is asked for, by the names of the options: runs that differ in it are different loads.
    ///
    /// What messages and fields say is left out, since it may be a secret.
    var asked: [String: String] {
        var asked = askedOfMode
        asked["connections"] = "\(connections)"
        asked["http2"] = streams.map { "\($0) on each connection" } ?? "no"
        asked["deflate"] = Self.words(dialing.offersDeflate)
        asked["ramp"] = Self.seconds(dialing.rampSeconds)
        asked["warm-up"] = Self.seconds(warmupSeconds)
        if program == nil || repeatsScenarios {
            switch end {
            case .seconds(let seconds): asked["duration"] = Self.seconds(seconds)
            case .count(let count): asked["messages"] = LoadNumber.grouped(count)
            case .standardInputCloses: break
            }
        }
        if let program {
            // Each socket of a recording is one, and there may be thousands.
            asked["scenarios"] =
                program.playsInTurn
                ? LoadNumber.grouped(UInt64(program.scenarios.count))
                : program.scenarios.map(\.name).joined(separator: ", ")
        }
        return asked
    }

    private var askedOfMode: [String: String] {
        switch mode {
        case .echo: askedOfMessages(["in-flight": "1"])
        case .closed(let inFlight): askedOfMessages(["in-flight": "\(inFlight)"])
        case .rate(let rate): askedOfMessages(["rate": "\(LoadNumber.digits(rate))/s"])
        case .stream(let windowBytes):
            askedOfMessages(["in-flight": "\(windowBytes / max(1, messageBytes))"])
        case .connect: ["resume": LoadNumber.digits(dialing.resumedShare)]
        case .push(let clock):
            ["clock": clock ?? "none", "message": Self.words(subscription != nil)]
        case .storm(let backOff):
            [
                "back-off": Self.seconds(backOff.firstSeconds) + " to "
                    + Self.seconds(backOff.longestSeconds),
                "jitter": LoadNumber.digits(backOff.jitter),
            ]
        case .cycle: askedOfMessages([:])
        case .idle, .script: [:]
        }
    }

    private func askedOfMessages(_ how: [String: String]) -> [String: String] {
        var asked = how
        let (low, high) = (message.sizes.lowerBound, message.sizes.upperBound)
        asked["size"] = low == high ? "\(low)" : "\(low)..\(high)"
        asked["text"] = Self.words(message.isText)
        asked["message"] = message.content == nil ? "noise" : "given"
        return asked
    }

    private static func seconds(_ seconds: Double) -> String { "\(LoadNumber.digits(seconds)) s" }

    private static func words(_ isSo: Bool) -> String { isSo ? "yes" : "no" }
}
