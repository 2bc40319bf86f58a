// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import Reactor
import TestKit
import Testing

@testable import Admin

/// Answers that are written as they come to be.
struct AdminStoryTests {
    /// Serves one answer at a socket of its own.
    private func served(
        _ folder: String, _ handler: @escaping @Sendable () -> AdminAnswer
    ) throws -> AdminServer {
        let server = try AdminServer(address: Address(parsing: "unix:\(folder)/admin.sock")) { _ in
            handler()
        }
        try server.start()
        return server
    }

    @Test func `a story is told to its end also where whoever asked has gone before its head`()
        throws
    {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let asked = Gate("the request was read")
        let isGone = Gate("the client has gone")
        let isTold = Gate("the story was told")
        let couldWrite = Monitor(true)
        let server = try served(folder) {
            asked.open()
            try? isGone.wait()
            return AdminAnswer(type: "text/plain") { outlet in
                let isSent = outlet.write([65], unless: { false })
                couldWrite.update { $0 = isSent }
                isTold.open()
            }
        }
        defer { server.stop() }
        let client = try WebSocketPeer.connect(to: .unix("\(folder)/admin.sock"))
        try client.send("GET /tap HTTP/1.1\r\nHost: localhost\r\n\r\n")
        try asked.wait()
        client.stream.close()
        isGone.open()
        try isTold.wait()
        #expect(!couldWrite.value)
    }

    @Test func `lines are taken one by one, however they are cut`() throws {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let lines = (0..<200).map { String(repeating: "\($0 % 10)", count: $0 * 37) }
        let text = Array(lines.map { $0 + "\n" }.joined().utf8)
        let server = try served(folder) {
            AdminAnswer(type: "text/plain") { outlet in
                var rest = text[...]
                var size = 1
                while !rest.isEmpty {
                    guard outlet.write(Array(rest.prefix(size)), unless: { false }) else { return }
                    rest = rest.dropFirst(size)
                    size = size * 3 % 4_099
                }
                outlet.finish()
            }
        }
        defer { server.stop() }
        let client = AdminClient(server.address)
        var taken: [String] = []
        let end = try client.story("/tap", until: { false }) {
            taken.append(String(decoding: $0, as: UTF8.self))
        }
        guard case .whole = end else {
            Issue.record("\(end)")
            return
        }
        #expect(taken == lines)
    }

    @Test func `a long answer is whole, and its head has its length`() throws {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let body = Data((0..<300_000).map { UInt8(truncatingIfNeeded: $0 >> 7) })
        let server = try served(folder) { AdminAnswer(type: "text/plain", body: body) }
        defer { server.stop() }
        let file = "\(folder)/body"
        let head = try run([
            "curl", "-s", "-o", file, "-D", "-", "--unix-socket", "\(folder)/admin.sock",
            "http://localhost/metrics",
        ])
        #expect(head.contains("Content-Length: 300000\r"), "\(head)")
        #expect(try Data(contentsOf: URL(fileURLWithPath: file)) == body)
        let only = try run([
            "curl", "-s", "-I", "--unix-socket", "\(folder)/admin.sock",
            "http://localhost/metrics",
        ])
        #expect(only.contains("Content-Length: 300000\r"), "\(only)")
    }
}
