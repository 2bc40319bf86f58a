// SPDX-License-Identifier: Apache-2.0
import ArgumentParser

/// Measures Sluice and its peers.
@main struct Bench: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "Bench",
        abstract: "Load for WebSocket servers and proxies, and micro-benchmarks of Sluice's parts.",
        discussion: """
            All load runs on one thread and checks each byte that comes back. With --json one \
            object is printed to standard output, whose keys are: mode, url, connections, \
            streams, opened, messageBytes, seconds, messages, messagesPerSecond, megabytes, \
            megabytesPerSecond, p50Microseconds, p90Microseconds, p99Microseconds, \
            p999Microseconds, maxMicroseconds, handshakes, handshakesPerSecond, resumed, \
            errors, firstError, tlsVersion, cipher; and with --watch-pid: cpuSeconds, \
            cpuShare, cpuMicrosecondsPerMessage, cpuMicrosecondsPerMegabyte, \
            cpuMicrosecondsPerConnection, residentKilobytesBefore, residentKilobytes, \
            residentBytesPerConnection. A megabyte is 10^6 bytes of payload that came back, \
            counted once. The exit code is 1 when there were errors.
            """,
        subcommands: [
            EchoLoad.self, StreamLoad.self, ConnectLoad.self, CycleLoad.self, IdleLoad.self,
            Micro.self, Handshakes.self, Backend.self,
        ])
}
