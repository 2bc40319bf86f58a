// SPDX-License-Identifier: Apache-2.0
//
// Goal: whatever of a socket is half done when it moves to the next process is done there: records, their headers,
// KeyUpdates, frames, messages, and bytes that nobody has read yet.
// Method: several foreign implementations of TLS, each with bytes of its own that stop half way during an upgrade.

import Foundation
import Glibc
import TestKit
import Testing

@Suite struct CutSocketsTests {
    @Test func `records, KeyUpdates and frames that stop half way go on`() throws {
        let backend = try ScriptedBackend.echo()
        let sluice = try MovedSocketsTests.started(backend.address)
        defer { Scratch.remove(sluice.folder) }
        let rounds = 2
        let clients = try PythonPeer.start(
            "cut_client.py", ["\(sluice.proxy.port())", sluice.folder, "\(rounds)"])
        for round in 0..<rounds {
            try clients.waitForLine(containing: "held \(round)", by: .after(.seconds(120)))
            let report = try MovedSocketsTests.upgrade(sluice)
            defer { if round == rounds - 1 { kill(report.newProcess, SIGKILL) } }
            #expect(report.moved == 11)
            #expect(report.stayed == 0)
            #expect(report.lost == 0)
            try Scratch.write("", to: "\(sluice.folder)/\(round)")
            guard round == rounds - 1 else { continue }
            #expect(
                try clients.waitForExit(by: .after(.seconds(120))) == 0,
                "\(clients.output) \(clients.errors)")
        }
        #expect(clients.output.last == "ok 10")
    }

    /// How the file is changed before the second upgrade, in which the relay has bytes that nobody reads.
    @Test(arguments: [
        ("workers: 2", "workers: 2"), ("workers: 2", "workers: 1"),
        ("relayBufferBytes: 127KiB", "relayBufferBytes: 16KiB"),
        ("relayBufferBytes: 127KiB", "relayBufferBytes: 1MiB"),
    ])
    func `a message of 16 MiB is in the midst of both directions, and its reader is slow`(
        old: String, new: String
    ) throws {
        let size = 16 << 20
        let backend = try ManualBackend()
        // Takes the message as bytes and gives it back.
        let app = TestThread {
            let upstream = try backend.next()
            try upstream.accept()
            let deadline = Deadline.after(.seconds(240))
            let header = try upstream.read(14, by: deadline)
            let payload = try upstream.read(size, by: deadline)
            try upstream.stream.send(
                [0x82] + header[1...9].map { $0 & 0x7F } + payload, by: deadline)
            return try upstream.read(6, by: deadline)
        }
        let sluice = try MovedSocketsTests.started(
            backend.address, settings: ["workers: 2", "limits: { relayBufferBytes: 127KiB }"])
        defer { Scratch.remove(sluice.folder) }
        let client = try sluice.proxy.open(receiveBufferBytes: 65_536)
        // Masked with zeros, so as it is.
        let payload = [UInt8](unsafeUninitializedCapacity: size) { bytes, count in
            var random = SplitMix(seed: 22)
            let words = UnsafeMutableRawBufferPointer(bytes).bindMemory(to: UInt64.self)
            for index in words.indices { words[index] = random.next() }
            count = size
        }
        let length = (0..<8).reversed().map { UInt8(truncatingIfNeeded: size >> (8 * $0)) }
        let frame = [0x82, 0xFF] + length + [0, 0, 0, 0] + payload
        let half = size / 2 + 12_345
        let deadline = Deadline.after(.seconds(240))
        try client.stream.send(frame[..<half], by: deadline)
        let first = try MovedSocketsTests.upgrade(sluice)
        defer { kill(first.newProcess, SIGKILL) }
        #expect(first.moved == 1)
        client.stream.stopsReading = true
        try client.stream.send(frame[half...], by: deadline)
        // Now the answer comes, which nobody reads, until Sluice itself holds some of it.
        try eventually("all is full") {
            try sluice.ask("/metrics").output.contains(/sluice_held_bytes\S* [1-9]/)
        }
        try sluice.rewrite(old, new)
        let second = try MovedSocketsTests.upgrade(sluice)
        defer { kill(second.newProcess, SIGKILL) }
        #expect(second.moved == 1)
        #expect(try client.read(2 + 8, by: deadline) == [0x82, 0x7F] + length)
        let answer = try client.read(size, by: deadline)
        #expect(answer == payload)
        try client.send(Frame.close(1000).masked([0, 0, 0, 0]))
        #expect(try app.join(by: deadline).prefix(2) == [0x88, 0x82])
    }

    /// They speak by pipes, and their frames are masked by blanks; gnutls-cli sends whole lines.
    @Test(arguments: [
        "openssl s_client -quiet -connect 127.0.0.1:PORT",
        "gnutls-cli --insecure -p PORT 127.0.0.1 --priority NORMAL:-VERS-ALL:+VERS-TLS1.3",
    ])
    func `clients of OpenSSL and of GnuTLS go on`(client: String) throws {
        let backend = try ScriptedBackend.echo()
        let sluice = try MovedSocketsTests.started(backend.address)
        defer { Scratch.remove(sluice.folder) }
        let script = """
            cd \(sluice.folder); mkfifo in
            \(client.replacing("PORT", with: "\(sluice.proxy.port())")) <in >out 2>errors &
            client=$!
            exec 3>in
            until_there() { until grep -qa "$1" out || ! kill -0 $client; do sleep 0.02; done; }
            printf 'GET /Esv/ocp HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: Upgrade\\r\\n' >&3
            printf 'Upgrade: websocket\\r\\nSec-WebSocket-Version: 13\\r\\n' >&3
            printf 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\\r\\n\\r\\n' >&3
            until_there ' 101 '
            echoes() { printf '\\201\\207    '"$(echo $1 | tr a-z A-Z)"'\\n' >&3; until_there "$1\\*"; }
            echoes before; echo held
            until [ -e over ]; do sleep 0.02; done
            echoes behind; exec 3>&-
            grep -ca 'before\\*' out; grep -ca 'behind\\*' out; kill $client
            """
        let shell = try ChildProcess(["/bin/sh", "-c", script])
        try shell.waitForLine(containing: "held", by: .after(.seconds(60)))
        let report = try MovedSocketsTests.upgrade(sluice)
        defer { kill(report.newProcess, SIGKILL) }
        #expect(report.moved == 1)
        try Scratch.write("", to: "\(sluice.folder)/over")
        try shell.waitForExit(by: .after(.seconds(60)))
        #expect(shell.output.first == "held" && shell.output.count == 3, "\(shell.output)")
        #expect(shell.output.dropFirst().allSatisfy { Int($0) ?? 0 > 0 }, "\(shell.output)")
    }

    @Test func `a page in Chromium that echoes all the time notices nothing`() throws {
        let app = try ProxyFixture(arguments: ["echo", "--listen", "127.0.0.1:0"])
        let sluice = try MovedSocketsTests.started(
            .tcp(app.port()), listeners: [.http1()])
        defer { Scratch.remove(sluice.folder) }
        let authority = try TestCertificates.shared().authority
        let page = try PythonPeer.start(
            "moving_page.py", ["\(sluice.proxy.port())", authority, "\(sluice.folder)/over", "5"])
        try page.waitForLine(containing: "ready", by: .after(.seconds(120)))
        var successors: [Int32] = []
        defer { for successor in successors { kill(successor, SIGKILL) } }
        for _ in 0..<3 {
            let report = try MovedSocketsTests.upgrade(sluice)
            successors.append(report.newProcess)
            #expect(report.moved == 5)
            #expect(report.lost == 0)
        }
        try Scratch.write("", to: "\(sluice.folder)/over")
        #expect(
            try page.waitForExit(by: .after(.seconds(120))) == 0, "\(page.output) \(page.errors)")
        #expect(page.output.last?.hasPrefix("ok ") == true)
    }
}
