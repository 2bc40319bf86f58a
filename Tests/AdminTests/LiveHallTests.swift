// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import Reactor
import Synchronization
import TestKit
import Testing

@testable import Admin

/// Goal: dashboards have what happens each second, and one that stops reading harms nobody.
///
/// Method: the hall with a source of the test's, over connected sockets whose other ends the test reads, or does not.
struct LiveHallTests {
    /// A dashboard's end of a connection.
    private final class End: Sendable {
        let number: Int32
        init(_ number: Int32) { self.number = number }
        deinit { close(number) }

        /// What poll(2) finds of these events in the end; 0 where the test's time is over.
        func poll(_ events: Int32) -> Int32 {
            var entry = pollfd(fd: number, events: Int16(events), revents: 0)
            let deadline = Deadline.after()
            while !deadline.hasPassed {
                if Glibc.poll(&entry, 1, 1_000) > 0 { return Int32(entry.revents) }
            }
            return 0
        }
    }

    /// How often a source was asked.
    private final class Looks: Sendable {
        let count = Atomic<Int>(0)
    }

    /// A hall whose snapshots have so many bytes, and how often it was asked.
    private struct Rig {
        let hall: LiveHall
        let looks = Looks()

        init(bytes: Int, patienceMilliseconds: UInt64 = LiveSeat.patienceMilliseconds) throws {
            hall = try LiveHall(patienceMilliseconds: patienceMilliseconds) { [looks] queries in
                looks.count.wrappingAdd(1, ordering: .relaxed)
                return queries.map { query in
                    Data((query.filter + String(repeating: "x", count: bytes)).utf8)
                }
            }
        }

        /// A dashboard's end of a connection that has a seat.
        func sit() throws -> End {
            var ends: [Int32] = [-1, -1]
            let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
            try #require(socketpair(AF_UNIX, kind, 0, &ends) == 0)
            try #require(hall.reserve())
            hall.seat(ends[0])
            return End(ends[1])
        }
    }

    /// Reads a frame of a server's: its opcode and payload; nil at the end.
    private func readFrame(_ socket: End) throws -> (opcode: UInt8, payload: [UInt8])? {
        func take(_ count: Int) throws -> [UInt8]? {
            var bytes: [UInt8] = []
            while bytes.count < count {
                try #require(socket.poll(Int32(POLLIN)) != 0, "nothing comes")
                var buffer = [UInt8](repeating: 0, count: count - bytes.count)
                let got = recv(socket.number, &buffer, buffer.count, 0)
                if got <= 0 { return nil }
                bytes += buffer.prefix(got)
            }
            return bytes
        }
        guard let head = try take(2) else { return nil }
        var length = Int(head[1])
        if length >= 126 {
            guard let more = try take(length == 126 ? 2 : 8) else { return nil }
            length = more.reduce(0) { $0 << 8 | Int($1) }
        }
        guard let payload = try take(length) else { return nil }
        return (head[0] & 15, payload)
    }

    private func send(_ frame: Frame, _ socket: End) {
        let bytes = frame.masked().bytes
        #expect(Glibc.send(socket.number, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count)
    }

    @Test func `who comes has a snapshot, and what it asks for from then on`() throws {
        let rig = try Rig(bytes: 3)
        defer { rig.hall.stop() }
        let dashboard = try rig.sit()
        #expect(try readFrame(dashboard)?.payload == Array("xxx".utf8))
        send(.text("{\"filter\":\"/chat\",\"sort\":\"newest\",\"limit\":3}"), dashboard)
        var text = ""
        while text != "/chatxxx" {
            let frame = try #require(try readFrame(dashboard))
            #expect(frame.opcode == 1)
            text = String(decoding: frame.payload, as: UTF8.self)
        }
        send(.ping("are you there"), dashboard)
        while let frame = try readFrame(dashboard), frame.opcode != 10 {}
        send(.close(1000), dashboard)
        var last: (opcode: UInt8, payload: [UInt8])?
        while let frame = try readFrame(dashboard) { last = frame }
        #expect(last?.opcode == 8 && last?.payload == [0x03, 0xE8])
    }

    @Test(arguments: [
        (Frame.binary([1]), 1003), (Frame.text("no JSON"), 1008), (Frame.text("[]"), 1008),
        (Frame.text("{\"sort\":\"prettiest\"}"), 1008), (Frame.text("{\"limit\":-1}"), 1008),
        (Frame.text("{\"limit\":1001}"), 1008), (Frame.text("{\"limit\":1e99}"), 1008),
        (Frame.text("{\"filter\":\"" + String(repeating: "f", count: 257) + "\"}"), 1008),
        (Frame.text(String(repeating: "[", count: 4_096)), 1008),
        (Frame.text(String(repeating: "x", count: 4_097)), 1009),
        (Frame(opcode: 3), 1002), (Frame(opcode: 1, payload: [0xFF, 0xFE]), 1008),
    ])
    func `what is no wish ends the WebSocket with a code`(wrong: Frame, code: Int) throws {
        let rig = try Rig(bytes: 1)
        defer { rig.hall.stop() }
        let dashboard = try rig.sit()
        let other = try rig.sit()
        send(wrong, dashboard)
        var last: (opcode: UInt8, payload: [UInt8])?
        while let frame = try readFrame(dashboard) { last = frame }
        #expect(last?.opcode == 8)
        #expect(last?.payload.prefix(2) == [UInt8(code >> 8), UInt8(code & 255)])
        #expect(try readFrame(other)?.opcode == 1)
    }

    @Test func `a dashboard that stops reading is let go, and the others have their snapshots`()
        throws
    {
        let rig = try Rig(bytes: 3_000_000, patienceMilliseconds: 300)
        defer { rig.hall.stop() }
        let stalled = try rig.sit()
        let reading = try rig.sit()
        for _ in 0..<3 { #expect(try readFrame(reading)?.payload.count == 3_000_000) }
        // It is closed: what it had not taken is not waited for.
        #expect(stalled.poll(0) & Int32(POLLHUP) != 0)
        #expect(try readFrame(reading)?.opcode == 1)
        // Its seat is free again.
        var taken: [End] = []
        while rig.hall.reserve() {
            rig.hall.giveBack()
            taken.append(try rig.sit())
        }
        #expect(taken.count == LiveHall.seatsMax - 1)
    }

    @Test func `nobody looks while nobody sits there, and who comes back is served`() throws {
        let rig = try Rig(bytes: 1)
        defer { rig.hall.stop() }
        for _ in 0..<3 {
            let dashboard = try rig.sit()
            #expect(try readFrame(dashboard)?.opcode == 1)
            shutdown(dashboard.number, Int32(SHUT_RDWR))
            let deadline = Deadline.after()
            while rig.hall.isRunning {
                try #require(!deadline.hasPassed)
                usleep(1_000)
            }
        }
        #expect(rig.looks.count.load(ordering: .relaxed) >= 3)
    }

    @Test func `at the end all are told to come again`() throws {
        let rig = try Rig(bytes: 1)
        let dashboards = try (0..<3).map { _ in try rig.sit() }
        for dashboard in dashboards { #expect(try readFrame(dashboard)?.opcode == 1) }
        rig.hall.stop()
        for dashboard in dashboards {
            var last: (opcode: UInt8, payload: [UInt8])?
            while let frame = try readFrame(dashboard) { last = frame }
            #expect(last?.opcode == 8 && last?.payload.prefix(2) == [0x03, 0xF4])
        }
        #expect(!rig.hall.reserve())
    }
}
