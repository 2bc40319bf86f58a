// SPDX-License-Identifier: Apache-2.0
//
// Goal: the kit itself is right before it judges the program.
// Method: its client against its own backends, with no proxy between; known vectors.

import TestKit
import Testing

@Suite struct TestKitTests {
    @Test func `the accept value is that of RFC 6455's example`() {
        #expect(acceptValue(forKey: "dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    }

    @Test func `a masked frame is encoded as in RFC 6455's example`() {
        let bytes: [UInt8] = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]
        #expect(Frame.text("Hello").masked().bytes == bytes)
    }

    @Test(arguments: [0, 1, 125, 126, 65535, 65536])
    func `a frame of each length form comes back from the echo backend`(count: Int) throws {
        let backend = try ScriptedBackend.echo()
        let client = try WebSocketPeer.connect(to: backend.address)
        try client.open()
        let payload = (0..<count).map { UInt8(truncatingIfNeeded: $0) }
        try client.send(Frame.binary(payload).masked())
        #expect(try client.readFrame() == Frame.binary(payload))
        try client.send(Frame.close(1000, "done").masked())
        #expect(try client.readFrame() == Frame.close(1000, "done"))
        #expect(try client.expectEnd() == .orderly)
        client.stream.close()
        try backend.waitForScripts()
        #expect(backend.connectionCount == 1)
        #expect(backend.received().suffix(8).count == 8)
    }

    @Test func `a read that waits in vain says what it waited for`() throws {
        let backend = try ScriptedBackend.silent()
        let client = try WebSocketPeer.connect(to: backend.address)
        #expect(throws: PeerError.self) { try client.read(1, by: .after(.milliseconds(20))) }
    }

    @Test func `a reset is told from an end`() throws {
        let backend = try ManualBackend()
        let first = try WebSocketPeer.connect(to: backend.address)
        try backend.next().stream.reset()
        #expect(try first.expectEnd() == .reset)
        let second = try WebSocketPeer.connect(to: backend.address)
        try backend.next().stream.halfClose()
        #expect(try second.expectEnd() == .orderly)
    }

    @Test func `a response's body is read by length and by chunks and until the end`() throws {
        for response in [
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\nhello",
        ] {
            let backend = try ScriptedBackend.answering(response)
            let client = try WebSocketPeer.connect(to: backend.address)
            let answer = try client.refusal(of: Opening())
            #expect(answer.status == 200)
            #expect(answer.text == "hello")
        }
    }

    @Test func `an unreachable backend leaves a connect unanswered`() throws {
        let backend = try UnreachableBackend()
        #expect(backend.address.port != 0)
    }

    @Test func `the echo backend satisfies a foreign client`() throws {
        let backend = try ScriptedBackend.echo()
        let url = "ws://127.0.0.1:\(backend.address.port)/"
        #expect(try PythonPeer.run("echo_client.py", [url, "none"]).last == "ok")
        #expect(try PythonPeer.run("swarm.py", [url, "none", "20"]).last == "ok")
        let server = try PythonPeer.start("deflate_server.py")
        let port = try server.waitForLine(containing: "port ", by: .after(.seconds(60)))[0]
            .dropFirst(5)
        let said = try PythonPeer.run("deflate_client.py", ["ws://127.0.0.1:\(port)/", "none"])
        #expect(said.last == "ok")
    }

    @Test func `the certificates verify against their authority`() throws {
        let certificates = try TestCertificates.shared()
        for files in [certificates.local, certificates.localRSA, certificates.wildcard] {
            try run(["openssl", "verify", "-CAfile", certificates.authority, files.chain])
        }
    }

    @Test func `a child's exit and output are collected`() throws {
        let child = try ChildProcess(["sh", "-c", "echo out; echo err >&2; exit 3"])
        #expect(try child.waitForExit() == 3)
        #expect(child.output == ["out"])
        #expect(child.errors == ["err"])
    }
}
