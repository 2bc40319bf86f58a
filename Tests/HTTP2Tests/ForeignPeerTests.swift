// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

@testable import HTTP2

/// Goal: a client that shares no line with ours is served, in every way that a request can go.
///
/// Method: Python's h2 speaks over two pipes, in turns; the server echoes what it is sent.
struct ForeignPeerTests {
    private struct Report: Decodable {
        struct Stream: Decodable {
            let status: String?
            let interim: [String]
            let fields: [[String]]
            let body: Int
            let sum: Int
            let trailers: [[String]]
            let ended: Bool
            let reset: Int?
        }

        let streams: [String: Stream]
        let acks: Int
        let settings: [String: Int]
    }

    /// Answers requests by their path, and echoes bodies.
    private final class Server {
        let rig = Rig(greets: false)
        private(set) var paths: [String] = []
        private(set) var cookies: [String] = []
        private(set) var trailers: [[String]] = []
        private var counts: [HTTP2Stream: Int] = [:]

        func handle() {
            while let event = rig.connection.nextEvent() {
                let stream = event.stream
                switch event.kind {
                case .request: begin(stream)
                case .data:
                    let bytes = rig.arrived(stream)
                    counts[stream, default: 0] += bytes.count
                    rig.send(stream, bytes)
                    rig.connection.consume(stream, bytes.count)
                case .trailers:
                    trailers += rig.connection.takeTrailerPairs(stream) ?? []
                case .end:
                    let count = String(counts[stream] ?? 0)
                    rig.connection.finish(stream, trailers: Rig.fields([("x-count", count)]))
                case .closed: rig.connection.forget(stream)
                default: break
                }
            }
        }

        private func begin(_ stream: HTTP2Stream) {
            guard let head = rig.connection.takeHead(stream) else { return }
            let path = head.text(of: head.path)
            paths.append(path)
            cookies += head.pairs.filter { $0[0] == "cookie" }.map { $0[1] }
            switch path {
            case "/one":
                rig.connection.sendInterim(stream, status: 103)
                rig.answer(stream, 204, [("x-one", "1")])
            case "/large", "/cancelled":
                rig.answer(stream, 200, hasBody: true)
                if path == "/large" {
                    rig.send(stream, [UInt8](repeating: 1, count: 200_000))
                    rig.connection.finish(stream)
                }
            default: rig.answer(stream, 200, hasBody: true)
            }
        }
    }

    @Test func `Python's h2 gets every answer whole`() throws {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/python3")
        process.arguments = [folder.appendingPathComponent("Foreign/h2_client.py").path]
        let (up, down) = (Pipe(), Pipe())
        process.standardOutput = up
        process.standardInput = down
        try process.run()
        defer { process.terminate() }
        let server = Server()
        func read(_ count: Int) throws -> [UInt8] {
            var bytes: [UInt8] = []
            while bytes.count < count {
                let more =
                    try up.fileHandleForReading.read(upToCount: count - bytes.count) ?? Data()
                try #require(!more.isEmpty, "the client has gone")
                bytes += more
            }
            return bytes
        }
        var turns = 0
        while true {
            let length = try read(4).reduce(0) { $0 << 8 | Int($1) }
            if length == 0xFFFF_FFFF { break }
            server.rig.receive(try read(length))
            // What is answered may make room for more answers.
            var output = server.rig.output()
            while server.rig.connection.wantsToProduce || hasEvents(server) {
                server.handle()
                output += server.rig.output()
            }
            let header = RawFrame.number(UInt32(output.count), bytes: 4)
            try down.fileHandleForWriting.write(contentsOf: Data(header + output))
            turns += 1
            try #require(turns < 10_000)
        }
        var line: [UInt8] = []
        while line.last != 0x0A { line += try read(1) }
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
        try judge(try JSONDecoder().decode(Report.self, from: Data(line)), server)
    }

    private func hasEvents(_ server: Server) -> Bool {
        let count = server.paths.count
        server.handle()
        return server.paths.count != count || server.rig.connection.wantsToProduce
    }

    private func judge(_ report: Report, _ server: Server) throws {
        #expect(
            server.paths == [
                "/one", "/echo", "/chat", "/large", "/cancelled", "/large", "/trailers",
            ])
        #expect(server.cookies == ["a=b; c=d"] && server.trailers == [["x-sum", "294"]])
        #expect(report.acks == 1 && report.settings["8"] == 1)
        let one = try #require(report.streams["1"])
        #expect(one.status == "204" && one.interim == ["103"] && one.fields == [["x-one", "1"]])
        let echo = try #require(report.streams["3"])
        let sum = (0..<300_000).reduce(0) { ($0 + $1 % 251) % 1_000_003 }
        #expect(echo.body == 300_000 && echo.sum == sum && echo.ended)
        #expect(echo.trailers == [["x-count", "300000"]])
        let chat = try #require(report.streams["5"])
        #expect(chat.status == "200" && chat.body == 5 && chat.ended)
        for name in ["7", "11"] {
            let large = try #require(report.streams[name])
            #expect(large.body == 200_000 && large.sum == 200_000 && large.ended)
        }
        #expect(report.streams["9"]?.ended == false)
        let last = try #require(report.streams["13"])
        #expect(last.body == 3 && last.trailers == [["x-count", "3"]])
        #expect(report.streams.values.allSatisfy { $0.reset == nil })
        #expect(server.rig.connection.isOver && server.rig.connection.end == .complete)
        #expect(server.rig.memory.usedBytes == 0)
    }
}
