// SPDX-License-Identifier: Apache-2.0
//
// Goal: streams end as what they carry does: in order where it is whole, by a reset where it is not, and
// both the upstream and the log are told the truth.
// Method: the client's frames by hand, backends that record; the known faults of other proxies.

import Foundation
import TestKit
import Testing

@Suite struct HTTP2EndingTests {
    private let authority: String

    init() throws { authority = try TestCertificates.shared().authority }

    private func proxy(_ backend: PeerAddress, settings: [String] = []) throws -> ProxyFixture {
        try ProxyFixture(
            routes: [
                "{ path: /pages, respond: { body: \"a page\", type: text/plain } }",
                "{ path: \"/*\", to: \"\(backend)\" }",
            ], listeners: [.http2()], settings: settings)
    }

    private func run(_ proxy: ProxyFixture, _ task: String, _ more: String...) throws -> [String] {
        try PythonPeer.run("h2_faults.py", ["\(proxy.port())", authority, task] + more)
    }

    /// A RST_STREAM that comes too early has browsers go back to HTTP/1.1 until they are restarted.
    @Test func `behind both Closes a stream ends, and is not reset`() throws {
        let backend = try ScriptedBackend.echo()
        let proxy = try proxy(backend.address)
        #expect(try run(proxy, "patience") == ["closed 3"])
        try backend.waitForScripts(3)
        let lines = try proxy.process.waitForLine(containing: "reason=close", count: 3)
        #expect(lines.allSatisfy { $0.contains("close=1000 by=client") }, "\(lines)")
        #expect(proxy.process.errors.allSatisfy { !$0.contains("warning") })
    }

    @Test(arguments: ["reset", "end"])
    func `a stream that ends without a Close has the upstream told`(way: String) throws {
        let closes = Monitor<[Int]>([])
        let backend = try ScriptedBackend { peer in
            try peer.accept()
            while let frame = try peer.readFrameOrEnd() {
                if frame.opcode == 8 {
                    closes.update { $0.append(frame.closeCode ?? 0) }
                    try peer.send(Frame.close(frame.closeCode ?? 1000))
                    break
                }
                try peer.send(Frame.text(frame.text))
            }
            try peer.stream.halfClose()
            _ = try peer.readUntilEnd()
        }
        let proxy = try proxy(backend.address)
        #expect(try run(proxy, "vanishes", way) == ["gone"])
        try backend.waitForScripts(2)
        #expect(closes.value.sorted() == [1000, 1001])
        let line = try proxy.process.waitForLine(containing: "reason=vanished")
        #expect(line[0].contains("by=client"), "\(line)")
    }

    /// It is so where a client has a connection for its socket alone, whose kernel keeps what was sent.
    @Test func `what a client sent before it went comes to an upstream that is slow`() throws {
        let backend = try ManualBackend()
        let proxy = try proxy(backend.address)
        let client = try PythonPeer.start(
            "h2_faults.py", ["\(proxy.port())", authority, "fills", "16000"])
        let upstream = try backend.next(receiveBufferBytes: 8_192)
        try upstream.accept()
        let line = try client.waitForLine(containing: "filled", by: .after(.seconds(60)))[0]
        let count = try #require(Int(line.split(separator: " ")[1]))
        for _ in 0..<count { #expect(try upstream.readFrame().payload.count == 16_000) }
        #expect(try upstream.readFrame().closeCode == 1000)
        try upstream.send(Frame.close(1000))
        try upstream.stream.halfClose()
        _ = try upstream.readUntilEnd()
        let record = try proxy.process.waitForLine(containing: "reason=close")
        #expect(record[0].contains("close=1000 by=client"), "\(record)")
    }

    /// A client that does not answer it is cut off, as RFC 8441 §5 has it, once its time is over.
    @Test(arguments: [("answered", "code 1014 ended"), ("ignored", "code 1014 reset 8")])
    func `an upstream that goes without a Close ends the stream with one`(
        way: String, result: String
    ) throws {
        let backend = try ScriptedBackend { peer in
            try peer.accept()
            let text = try peer.readFrame().text
            try peer.send(Frame.text(text))
            try peer.stream.halfClose()
            _ = try peer.readUntilEnd()
        }
        let proxy = try proxy(backend.address, settings: ["timeouts: { closing: 2s }"])
        #expect(try run(proxy, "left", way) == [result])
        let line = try proxy.process.waitForLine(containing: "reason=vanished")
        #expect(line[0].contains("by=upstream"), "\(line)")
    }

    /// What is left behind both Closes has `timeouts.body`, as the rest of an answer has, and not only `linger`.
    @Test(arguments: [("open", "whole"), ("ended", "whole"), ("never", "reset")])
    func `bytes that a window holds back behind both Closes come whole, or the stream is reset`(
        way: String, result: String
    ) throws {
        let backend = try ScriptedBackend { peer in
            try peer.accept()
            _ = try peer.readFrame()
            // At once: a Close that came later would wait behind what is held, and not be read in time.
            let last = Frame(opcode: 2, payload: [UInt8](repeating: 0x44, count: 12_000))
            try peer.send(last.bytes + Frame.close(1000).bytes)
            try peer.stream.halfClose()
        }
        let body = way == "never" ? "1s" : "10m"
        let proxy = try proxy(
            backend.address, settings: ["timeouts: { linger: 50ms, body: \(body) }"])
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let client = try PythonPeer.start(
            "h2_faults.py", ["\(proxy.port())", authority, "lingers", way, "\(folder)/go"])
        try client.waitForLine(containing: "held back", by: .after(.seconds(60)))
        let line = try proxy.process.waitForLine(containing: "reason=close")
        #expect(line[0].contains("close=1000 by=client"), "\(line)")
        try Scratch.write("", to: "\(folder)/go")
        #expect(try client.waitForExit(by: .after(.seconds(60))) == 0, "\(client.errors)")
        #expect(client.output.last == result)
    }

    /// A relay whose stream is over must not wait for `linger`, since its client opens the next one at once.
    @Test func `sockets that end in order are gone when their streams are`() throws {
        let backend = try ScriptedBackend { peer in
            try peer.accept()
            _ = try peer.readFrame()
            try peer.send(Frame.close(1000))
            try peer.stream.halfClose()
        }
        // Eight times as many as a client has open, since apps end their side when they come to it.
        let proxy = try ProxyFixture(
            routes: [
                "{ path: \"/*\", to: \"\(backend.address)\", limits: { relays: 64 } }"
            ], listeners: [.multiplexed("maxStreams: 8")], settings: ["timeouts: { linger: 1h }"])
        #expect(try run(proxy, "reopens", "30", "8") == ["opened 240"])
        try proxy.process.waitForLine(containing: "reason=close", count: 240)
    }

    private static let parts: [String: String] = [
        "/length": "Content-Length: 100\r\n\r\nonly this",
        "/chunk": "Transfer-Encoding: chunked\r\n\r\n9\r\nonly this\r\n",
        "/within": "Transfer-Encoding: chunked\r\n\r\n20\r\nonly this",
    ]

    @Test func `an answer whose body is cut short is reset, and not made to look whole`() throws {
        let backend = try ScriptedBackend { peer in
            let head = try peer.readHead()
            try peer.send("HTTP/1.1 200 OK\r\n" + (Self.parts[head.target] ?? "\r\n"))
            try peer.stream.halfClose()
            _ = try peer.readUntilEnd()
        }
        let proxy = try proxy(backend.address)
        let said = try run(proxy, "cut", "/length", "/chunk", "/within")
        #expect(
            said == [
                "/length 200 only this reset 2", "/chunk 200 only this reset 2",
                "/within 200 only this reset 2", "then a page",
            ])
    }

    /// The upstream must not take for whole what is not.
    @Test func `an upload that is cut short, too long or given up never ends at the upstream`()
        throws
    {
        let backend = try ScriptedBackend { peer in
            let head = try peer.readHead()
            if head.target == "/padded" {
                let body = try peer.read(1_006)
                guard body == [UInt8](repeating: 0x70, count: 1_006) else {
                    throw PeerError("the body is not what was sent: \(body.count)")
                }
                try peer.send(
                    "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                try peer.stream.halfClose()
            }
            _ = try peer.readUntilEnd()
        }
        let proxy = try proxy(backend.address)
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let client = try PythonPeer.start(
            "h2_faults.py", ["\(proxy.port())", authority, "uploads", "\(folder)/go"])
        try client.waitForLine(containing: "half", by: .after(.seconds(120)))
        // What is given up midway has begun at the upstream.
        func begun() -> String {
            (0..<backend.connectionCount).map {
                String(decoding: backend.received($0), as: UTF8.self)
            }
            .first { $0.hasPrefix("POST /chunked ") } ?? ""
        }
        try eventually("the upload has begun") { begun().hasSuffix("\r\n3\r\n123\r\n") }
        try Scratch.write("", to: "\(folder)/go")
        try client.waitForLine(containing: "uploaded")
        try backend.waitForScripts(backend.connectionCount)
        #expect(begun().hasSuffix("\r\n3\r\n123\r\n"), "no last chunk")
        for index in 0..<backend.connectionCount {
            let text = String(decoding: backend.received(index), as: UTF8.self)
            let isWhole = text.hasPrefix("POST /padded ")
            #expect(isWhole || !isEnded(text), "\(text)")
            #expect(!text.contains("x-behind"), "\(text)")
        }
    }

    /// Whether a body of five bytes, or one in chunks, has come to its end.
    private func isEnded(_ text: String) -> Bool {
        guard let border = text.range(of: "\r\n\r\n") else { return false }
        return text.hasSuffix("0\r\n\r\n")
            || text[border.upperBound...].utf8.count == 5
                && text.lowercased().contains("content-length: 5")
    }

    @Test func `a malformed request is reset, and nothing of it reaches the upstream`() throws {
        let backend = try ScriptedBackend.silent()
        let proxy = try proxy(backend.address)
        #expect(try run(proxy, "malformed") == ["reset 14"])
        #expect(backend.connectionCount == 0)
    }
}
