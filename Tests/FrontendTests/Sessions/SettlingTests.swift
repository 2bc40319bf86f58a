// SPDX-License-Identifier: Apache-2.0
import Foundation
import Ledger
import Reactor
import Splice
import Synchronization
import TestKit
import Testing
import Wire

@testable import Frontend
@testable import TLS

/// Goal: connections that have lived a while go on without OpenSSL's object, and nobody notices.
struct SettlingTests {
    private static func rig(
        milliseconds: UInt64 = 0, suites: String? = nil, workers: Int = 1, releases: Bool = true,
        engine: RecordEngine = .best
    ) throws -> FrontendRig {
        var settings = FrontendSettings()
        settings.settleMilliseconds = milliseconds
        settings.releases = releases
        settings.records = engine
        let store = try CertificateStore(
            [Certificates.shared().first.files],
            options: TLSServerOptions(minimumVersion: .tls12, cipherSuites: suites),
            tickets: try TicketKeys())
        return try FrontendRig(
            secure: true, workers: workers, certificates: store, settings: settings)
    }

    private func settled(_ rig: FrontendRig) -> Int {
        rig.frontend.crew.settledCount.load(ordering: .relaxed)
    }

    @Test func `a relay with what is known of it has no more than sixteen cache lines`() {
        #expect(MemoryLayout<Tunnel>.stride <= 16 * 64, "\(MemoryLayout<Tunnel>.stride)")
    }

    @Test(
        arguments: [
            "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256",
        ], ["fastest", "OpenSSL"])
    func `a relay goes on in each suite`(suite: String, engine: String) throws {
        let rig = try Self.rig(suites: suite, engine: engine == "OpenSSL" ? .openSSL : .best)
        let visitors = try (0..<8).map { _ in
            try rig.visitor(tls: Certificates.shared().first.client())
        }
        for visitor in visitors { #expect(try visitor.upgrade(path: "/a").status == 101) }
        for round in 0..<50 {
            for visitor in visitors { #expect(try visitor.echoes("round \(round)")) }
        }
        #expect(settled(rig) == 8)
        // Bigger than what one record, one read and the sockets' buffers hold.
        #expect(try visitors[0].echoes(String(repeating: "0123456789", count: 20_000)))
        for visitor in visitors {
            try visitor.sendFrame(.close, [0x03, 0xE8])
            #expect(try visitor.receiveFrame().opcode == .close)
            #expect(try visitor.receiveToEnd() == [])
            #expect(visitor.wasClosedByNotify)
        }
    }

    /// The status tells of the plan: here is looked at what a reactor seals with.
    @Test func `a reactor takes the engine of its settings, at the start and later`() throws {
        let fast = RecordEngine.best
        let isThere = fast.form != nil
        for (first, second) in [(fast, RecordEngine.openSSL), (.openSSL, fast)] {
            var settings = FrontendSettings()
            settings.records = first
            let rig = try TurnRig(settings: settings)
            let records = rig.state.pointee.space.pointee.records
            #expect(records.ciphers.isFast == (isThere && first.form != nil))
            settings.records = second
            try rig.take(settings)
            #expect(records.ciphers.isFast == (isThere && second.form != nil))
        }
    }

    @Test func `an ordinary request goes on too`() throws {
        let rig = try Self.rig()
        let visitor = try rig.visitor(tls: Certificates.shared().first.client())
        for _ in 0..<3 {
            try visitor.send(Array("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".utf8))
            let head = try visitor.receiveHead()
            #expect(head.status == 200)
            let length = try #require(head.fields.string("content-length").flatMap { Int($0) })
            #expect(try visitor.receive { $0.count >= length ? length : nil }.count == length)
        }
        #expect(settled(rig) == 1)
    }

    @Test func `connections that end before are left alone`() throws {
        let rig = try Self.rig(milliseconds: 60_000)
        let visitor = try rig.visitor(tls: Certificates.shared().first.client())
        #expect(try visitor.upgrade(path: "/a").status == 101)
        #expect(try visitor.echoes("hello"))
        #expect(settled(rig) == 0)
    }

    /// 64 KiB in one direction are enough, long before its time.
    @Test(arguments: ["TLS_AES_128_GCM_SHA256", "TLS_CHACHA20_POLY1305_SHA256"])
    func `a busy connection goes on early`(suite: String) throws {
        let rig = try Self.rig(milliseconds: 3_600_000, suites: suite)
        let visitor = try rig.visitor(tls: Certificates.shared().first.client())
        #expect(try visitor.upgrade(path: "/a").status == 101)
        let message = String(repeating: "0123456789", count: 2_000)
        #expect(try visitor.echoes(message))
        #expect(settled(rig) == 0)
        for _ in 0..<20 { #expect(try visitor.echoes(message)) }
        #expect(settled(rig) == 1)
        try visitor.sendFrame(.close, [0x03, 0xE8])
        #expect(try visitor.receiveFrame().opcode == .close)
        #expect(try visitor.receiveToEnd() == [])
        #expect(visitor.wasClosedByNotify)
    }

    @Test func `none goes on without OpenSSL's object where the operator says so`() throws {
        let rig = try Self.rig(releases: false)
        let visitor = try rig.visitor(tls: Certificates.shared().first.client())
        #expect(try visitor.upgrade(path: "/a").status == 101)
        let message = String(repeating: "0123456789", count: 20_000)
        for _ in 0..<5 { #expect(try visitor.echoes(message)) }
        #expect(settled(rig) == 0)
    }

    @Test func `certificates change and a drain comes after it`() throws {
        let rig = try Self.rig()
        let visitor = try rig.visitor(tls: Certificates.shared().first.client())
        #expect(try visitor.upgrade(path: "/a").status == 101)
        #expect(try visitor.echoes("before"))
        #expect(settled(rig) == 1)
        try rig.use(certificates: [try Certificates.shared().second.store()])
        let later = try rig.visitor(tls: Certificates.shared().second.client())
        #expect(try later.upgrade(path: "/b").status == 101)
        #expect(try visitor.echoes("after"))
        rig.frontend.leave(
            DrainPlan(code: 1001, timeoutMilliseconds: 20_000))
        for visitor in [visitor, later] {
            let close = try visitor.receiveFrame()
            #expect(close.opcode == .close)
            #expect(close.payload.prefix(2) == [0x03, 0xE9])
            try visitor.sendFrame(.close, [0x03, 0xE9])
            #expect(try visitor.receiveToEnd() == [])
            #expect(visitor.wasClosedByNotify)
        }
        rig.frontend.wait()
    }

    @Test func `openssl changes its keys, and asks for ours`() throws {
        let rig = try Self.rig()
        let port = rig.address.port
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["openssl", "s_client", "-connect", "127.0.0.1:\(port)", "-crlf"]
        let input = Pipe()
        let output = Pipe()
        process.standardInput = input
        process.standardOutput = output
        process.standardError = output
        try process.run()
        defer {
            // Its own word for the end: a signal may be blocked in a child of the tests.
            input.fileHandleForWriting.write(Data("Q\n".utf8))
            process.waitUntilExit()
        }
        var heard = ""
        func wait(for text: String) throws {
            while !heard.contains(text) {
                let data = output.fileHandleForReading.availableData
                try #require(!data.isEmpty, "it ended with: \(heard)")
                heard += String(decoding: data, as: UTF8.self)
            }
            heard = ""
        }
        // A request first: its answer shows that the session has settled.
        for command in ["", "k\n", "K\n", "K\n"] {
            input.fileHandleForWriting.write(Data(command.utf8))
            if !command.isEmpty { try wait(for: "KEYUPDATE") }
            input.fileHandleForWriting.write(
                Data("GET / HTTP/1.1\nHost: localhost\n\n".utf8))
            try wait(for: "</html>")
            #expect(settled(rig) == 1)
        }
    }

    /// RFC 6066 §4: what was agreed on the size of records holds without OpenSSL's object too.
    ///
    /// The clients give up where a record is longer.
    @Test(arguments: ["openssl", "gnutls-cli"], [512, 1_024, 2_048, 4_096])
    func `foreign clients that want short records get them for good`(
        client: String, bytes: Int
    ) throws {
        let rig = try Self.rig()
        let port = rig.address.port
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let command =
            client == "openssl"
            ? "openssl s_client -connect 127.0.0.1:\(port) -maxfraglen \(bytes) -tls1_3 -quiet"
            : "gnutls-cli --insecure --recordsize=\(bytes) -p \(port) 127.0.0.1"
                + " --priority NORMAL:-VERS-ALL:+VERS-TLS1.3"
        // The page of the echo app, of more than 4 KiB, which the session has settled before.
        let script = """
            cd \(folder); mkfifo in
            ask() { printf 'GET / HTTP/1.1\\r\\nHost: localhost\\r\\n'"$1"'\\r\\n' >&3; }
            pages() { [ $(grep -c '</html>' out) -ge $1 ] || ! kill -0 $client 2>/dev/null; }
            \(command) <in >out 2>errors &
            client=$!
            exec 3>in
            ask; until pages 1; do sleep 0.02; done
            ask; until pages 2; do sleep 0.02; done
            ask 'Connection: close\\r\\n'; exec 3>&-; wait $client
            grep -c '</html>' out; cat errors >&2
            """
        let child = try ChildProcess(["bash", "-c", script])
        try child.waitForExit(by: .after(.seconds(60)))
        #expect(child.output.first == "3", "\(child.errors)")
        #expect(settled(rig) == 1)
    }
}
