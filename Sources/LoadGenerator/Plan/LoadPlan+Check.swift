// SPDX-License-Identifier: Apache-2.0

extension LoadPlan {
    /// Messages per second that a clock can be asked for: its times fit into 64 bits of nanoseconds.
    private static let rates = 1e-6...1e9

    /// Refuses what makes no sense.
    func check() throws(LoadFault) {
        if connections < 1 { throw LoadFault("there must be at least one connection") }
        try checkCounts()
        try checkStreams()
        if mode == .script, program == nil { throw LoadFault("there is no script to be played") }
        if mode == .script, !repeatsScenarios, warmupSeconds > 0 {
            throw LoadFault(
                "a script or recording that each client plays once has no warm-up: give --duration, so that clients"
                    + " begin anew, or leave --warm-up out")
        }
        let sizes = message.sizes
        if sizes.lowerBound < 0 {
            throw LoadFault("a message cannot have \(sizes.lowerBound) bytes")
        }
        if sizes.upperBound > 1 << 30 { throw LoadFault("a message may have up to 1 GiB") }
        if dialing.offersDeflate, sizes.upperBound > LoadLoop.messageBytesMax {
            throw LoadFault("a message that may be compressed may have up to 16 MiB")
        }
        if warmupSeconds < 0 { throw LoadFault("the warm-up cannot be negative") }
        if case .rate(let rate) = mode, !Self.rates.contains(rate) {
            throw LoadFault(
                "the rate must be between 0.000001 and 1,000,000,000 messages per second, found \(rate)"
            )
        }
        if case .closed(let inFlight) = mode, !(1...1_000_000 ~= inFlight) {
            throw LoadFault("1 to 1,000,000 messages may be under way on a connection")
        }
        if case .seconds(let seconds) = end, !(seconds > 0) {
            throw LoadFault("the duration must be more than 0 seconds")
        }
        if end == .standardInputCloses, mode != .idle {
            throw LoadFault("only idle connections wait for the end of standard input")
        }
    }

    /// WebSockets of one run, and messages that all of them have under way.
    private static let socketsMax = 10_000_000
    private static let underWayMax = 1_000_000_000

    /// Refuses numbers that nothing could hold, so that those made of them fit into an `Int`.
    private func checkCounts() throws(LoadFault) {
        let (sockets, isTooMany) = connections.multipliedReportingOverflow(by: max(1, streams ?? 1))
        guard !isTooMany, sockets <= Self.socketsMax else {
            throw LoadFault(
                "a run has 10,000,000 WebSockets at most, as connections or as streams on them")
        }
        guard case .closed(let inFlight) = mode, inFlight > 0 else { return }
        let (underWay, isTooLarge) = sockets.multipliedReportingOverflow(by: inFlight)
        guard !isTooLarge, underWay <= Self.underWayMax else {
            throw LoadFault(
                "1,000,000,000 messages may be under way at most: connections, times streams, times --in-flight"
            )
        }
    }

    private func checkStreams() throws(LoadFault) {
        guard let streams else {
            if mode == .cycle {
                throw LoadFault("only streams of HTTP/2 are opened over and over; say how many")
            }
            return
        }
        if streams < 1 { throw LoadFault("a connection must carry at least one stream") }
        if !target.isSecure {
            throw LoadFault("HTTP/2 is agreed on in TLS (ALPN), so it needs wss://")
        }
        if dialing.offersDeflate {
            throw LoadFault("messages are compressed in HTTP/1.1 alone")
        }
        switch mode {
        case .connect:
            throw LoadFault("connections over and over are those of HTTP/1.1; streams: cycle")
        case .storm:
            throw LoadFault("connections that drop and come back are those of HTTP/1.1")
        case .script:
            throw LoadFault("a script's connections are those of HTTP/1.1")
        default: break
        }
    }
}
