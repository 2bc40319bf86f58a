// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Echo
import Foundation
import Glibc
import LoadGenerator

/// The command `Bench echo`: messages that come back, one at a time or by the clock.
struct EchoLoad: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "echo",
        abstract: "Messages that come back: one at a time on each connection, or by the clock.",
        discussion: """
            Without --rate each connection sends its next message when the last one is back. \
            With --rate so many messages per second leave by the clock, whether or not earlier \
            ones are back, and latency counts from the moment at which a message should have \
            left: nothing is omitted because the server was slow.
            """)

    @OptionGroup var options: LoadOptions
    @OptionGroup var end: EndOptions
    @Option(name: .shortAndLong, help: "How many connections.")
    var connections = 64
    @Option(help: ArgumentHelp("Payload of each message.", valueName: "bytes"))
    var messageBytes = 128
    @Option(help: "Messages per second over all connections, by the clock.")
    var rate: Double?

    func run() throws {
        var plan = try options.plan(rate.map { .rate(messagesPerSecond: $0) } ?? .echo)
        plan.connections = connections
        plan.messageBytes = messageBytes
        plan.end = end.end
        try options.run(plan)
    }
}

/// The command `Bench stream`: large frames, several under way at once.
struct StreamLoad: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stream",
        abstract: "Large frames that come back, with several under way on each connection.")

    @OptionGroup var options: LoadOptions
    @OptionGroup var end: EndOptions
    @Option(name: .shortAndLong, help: "How many connections.")
    var connections = 8
    @Option(help: ArgumentHelp("Payload of each message.", valueName: "bytes"))
    var messageBytes = 65_536
    @Option(
        help: ArgumentHelp(
            "Payload under way on each connection; at least one message. (default: 4 messages, at "
                + "most 1 MiB)",
            valueName: "bytes"))
    var window: Int?

    func run() throws {
        let usual = max(messageBytes, min(4 * messageBytes, 1 << 20))
        var plan = try options.plan(.stream(windowBytes: window ?? usual))
        plan.connections = connections
        plan.messageBytes = messageBytes
        plan.end = end.end
        try options.run(plan)
    }
}

/// The command `Bench connect`: connections opened and closed over and over.
struct ConnectLoad: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "connect",
        abstract: "Connections, over and over: TCP, TLS handshake, upgrade, Close, end.",
        discussion: "Latency is that of a whole cycle, up to the answered Close.")

    @OptionGroup var options: LoadOptions
    @OptionGroup var end: EndOptions
    @Option(name: .shortAndLong, help: "How many connections at once.")
    var connections = 8
    @Flag(help: "Take up earlier TLS sessions with the tickets of the server.")
    var resume = false

    func run() throws {
        var plan = try options.plan(.connect(resumes: resume))
        plan.connections = connections
        plan.end = end.end
        try options.run(plan)
    }
}

/// The command `Bench cycle`: streams of HTTP/2 opened and ended over and over.
struct CycleLoad: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cycle",
        abstract:
            "Streams of HTTP/2, over and over: CONNECT, one message, Close, end of the stream.",
        discussion: """
            The connections stay open; --streams is how many streams live on each at a time. Latency \
            is that of a whole cycle, up to the end of the stream on both sides.
            """)

    @OptionGroup var options: LoadOptions
    @OptionGroup var end: EndOptions
    @Option(name: .shortAndLong, help: "How many connections.")
    var connections = 4
    @Option(help: ArgumentHelp("Payload of each message.", valueName: "bytes"))
    var messageBytes = 128

    func run() throws {
        var plan = try options.plan(.cycle)
        plan.connections = connections
        plan.messageBytes = messageBytes
        plan.end = end.end
        try options.run(plan)
    }
}

/// The command `Bench idle`: connections that are opened and held.
struct IdleLoad: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "idle",
        abstract: "Connections that are opened and held until standard input ends.",
        discussion: """
            When all are open, “open N of M” is written to standard error. CPU time and memory \
            of --watch-pid are those of opening, and of the connections when standard input \
            ends.
            """)

    @OptionGroup var options: LoadOptions
    @Option(name: .shortAndLong, help: "How many connections.")
    var connections = 1000
    @Option(help: ArgumentHelp("Hold so long, in place of standard input.", valueName: "seconds"))
    var duration: Double?

    func run() throws {
        var plan = try options.plan(.idle)
        plan.connections = connections
        plan.end = duration.map { .seconds($0) } ?? .standardInputCloses
        let wanted = connections * (options.streams ?? 1)
        try options.run(plan) { count in
            FileHandle.standardError.write(Data("open \(count) of \(wanted)\n".utf8))
        }
    }
}

/// The command `Bench backend`: the echo app that benchmarks use as upstream.
struct Backend: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "backend",
        abstract: "The echo app that the benchmarks use as upstream: plain ws, until it is killed.",
        discussion: "Prints “listening on ADDRESS” for each address when it is ready.")

    @Option(help: "Listen on this address; several may be given. Port 0 is any free one.")
    var listen: [String] = ["127.0.0.1:9000"]
    @Option(help: "Run on this core.")
    var cpu: Int?

    func run() throws {
        let server = try EchoServer.start(listening: listen, cpu: cpu)
        for address in server.addresses { print("listening on \(address)") }
        fflush(nil)
        while true { pause() }
    }
}
