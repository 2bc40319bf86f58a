// SPDX-License-Identifier: Apache-2.0
//
// Goal: a client that reads slowly gets all that it asked for, though the times for one that reads nothing are
// shorter than it takes until its socket has room again.
// Method: the kernel's buffers hold some megabytes, of which a client takes half a megabyte in a second. A third of
// them has to be free before the socket has room.

import TestKit
import Testing

@Suite struct PatienceTests {
    private static let pageBytes = 12_000_000
    private static let messageBytes = 60_000
    private static let messageCount = 110

    /// An app with a large page, and a socket on which much is sent and then nothing more.
    private func app() throws -> ScriptedBackend {
        try ScriptedBackend { peer in
            let head = try peer.readHead()
            guard let key = head["Sec-WebSocket-Key"] else {
                try peer.send("HTTP/1.1 200 OK\r\nContent-Length: \(Self.pageBytes)\r\n\r\n")
                let block = [UInt8](repeating: 120, count: 1_000_000)
                for _ in 0..<(Self.pageBytes / block.count) {
                    try peer.stream.send(block, by: .after(.seconds(120)))
                }
                return
            }
            try peer.send(WebSocketPeer.switching(key: key))
            let message = Frame(
                opcode: 2, payload: [UInt8](repeating: 120, count: Self.messageBytes))
            for _ in 0..<Self.messageCount {
                try peer.stream.send(message.bytes, by: .after(.seconds(120)))
            }
            try peer.stream.halfClose()
            _ = try peer.readUntilEnd(by: .after(.seconds(120)))
        }
    }

    private func read(_ protocolName: String, _ kind: String, _ times: String) throws -> [String] {
        let backend = try app()
        let proxy = try ProxyFixture(
            routes: ["{ path: \"/*\", to: \"\(backend.address)\" }"],
            listeners: [protocolName == "plain" ? .plain : .tls()],
            settings: ["timeouts: { \(times) }"])
        return try PythonPeer.run(
            "slow_reader.py",
            [
                "\(proxy.port())", try TestCertificates.shared().authority, protocolName, kind, "7",
            ], by: .after(.seconds(120)))
    }

    @Test(arguments: ["h1", "h2", "plain"])
    func `an answer comes whole, though 'body' is short`(protocolName: String) throws {
        #expect(try read(protocolName, "page", "body: 2s") == ["\(Self.pageBytes) ended"])
    }

    @Test func `a client that has ended its side gets its answer, though 'linger' is short`() throws
    {
        #expect(try read("plain", "half", "linger: 2s") == ["\(Self.pageBytes) ended"])
    }

    @Test(arguments: ["h1", "h2", "plain"])
    func `what an app sent before it went comes whole, though 'closing' is short`(
        protocolName: String
    ) throws {
        // Behind the messages stands the Close that tells of the loss.
        let count = Self.messageCount * (Self.messageBytes + 4) + 4
        #expect(try read(protocolName, "socket", "closing: 2s") == ["\(count) ended 1014"])
    }
}
