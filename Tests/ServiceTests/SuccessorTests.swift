// SPDX-License-Identifier: Apache-2.0
import Foundation
import Frontend
import Glibc
import Reactor
import Testing

@testable import Service

/// What one process tells the next one, and what that one answers.
struct SuccessorTests {
    /// A variable of the environment takes 128 KiB (`MAX_ARG_STRLEN`), which these names exceed.
    @Test func `ten thousand drained names reach the next process`() throws {
        let folder = FileManager.default.temporaryDirectory
            .appendingPathComponent("sluice-successor-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(
            atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        var drained = DrainedNames()
        for number in 0..<10_000 {
            drained.endpoints.insert("ws://app-\(number).services.example.internal:9000")
        }
        // A foreign program reads them and says that it serves.
        let script =
            "cat /proc/self/fd/$SLUICE_DRAINED > \(folder)/names"
            + " && printf '\\001' > /proc/self/fd/$SLUICE_READY"
        let started = try Successor.start(
            "/bin/sh", ["-c", script], sockets: [], drained: drained, within: 60_000)
        var status: Int32 = 0
        while waitpid(started.process, &status, 0) < 0 && errno == EINTR {}
        #expect(status == 0 && started.untaken.isEmpty)
        let text = try Data(contentsOf: URL(fileURLWithPath: "\(folder)/names"))
        #expect(text.count > 128 * 1_024)
        #expect(try JSONDecoder().decode(DrainedNames.self, from: text) == drained)
    }

    /// As libcurl's sockets are, which have no FD_CLOEXEC.
    @Test func `the next process gets what it is handed, and nothing that is open here by chance`()
        throws
    {
        let folder = FileManager.default.temporaryDirectory
            .appendingPathComponent("sluice-successor-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(
            atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        var ends: [Int32] = [-1, -1]
        try #require(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0)
        defer { for end in ends { close(end) } }
        func name(_ descriptor: Int32) throws -> String {
            try FileManager.default.destinationOfSymbolicLink(
                atPath: "/proc/self/fd/\(descriptor)")
        }
        let script =
            "ls -l /proc/$$/fd > \(folder)/list && printf '\\001' > /proc/self/fd/$SLUICE_READY"
        let handed = Successor.Handed(.listen, .loopback(port: 1), ends[0])
        let started = try Successor.start(
            "/bin/sh", ["-c", script], sockets: [handed], drained: DrainedNames(), within: 60_000)
        var status: Int32 = 0
        while waitpid(started.process, &status, 0) < 0 && errno == EINTR {}
        #expect(status == 0)
        let list = try String(contentsOfFile: "\(folder)/list", encoding: .utf8)
        #expect(list.contains(try name(ends[0])), "\(list)")
        #expect(!list.contains(try name(ends[1])), "\(list)")
    }

    @Test func `names are read from a descriptor, and it is closed`() throws {
        var drained = DrainedNames()
        drained.routes = ["/a", "/b/*"]
        let descriptor = try HandedDrains.file(of: drained)
        #expect(HandedDrains.read(from: descriptor) == drained)
        #expect(fcntl(descriptor, F_GETFD) < 0)
        #expect(HandedDrains.read(from: descriptor).isEmpty)
    }

    @Test(arguments: [[], [5], [7, 9, 1_048_575]])
    func `the sockets that a process does not listen at reach the one before it`(
        untaken: [Int32]
    ) throws {
        var ends: [Int32] = [-1, -1]
        try #require(pipe(&ends) == 0)
        defer { for end in ends { close(end) } }
        ReadyWord.write(untaken, to: ends[1])
        #expect(ReadyWord.read(from: ends[0]) == Set(untaken))
    }

    @Test func `a process that ends without a word does not serve`() throws {
        var ends: [Int32] = [-1, -1]
        try #require(pipe(&ends) == 0)
        close(ends[1])
        defer { close(ends[0]) }
        #expect(ReadyWord.read(from: ends[0]) == nil)
    }

    @Test func `of many names an upgrade tells some, and how many more there are`() {
        var drained = DrainedNames()
        #expect(Controller.handedOn(drained) == "")
        for number in 100..<125 { drained.endpoints.insert("ws://a:\(number)") }
        drained.routes = ["/chat/*"]
        let sentence = Controller.handedOn(drained)
        #expect(sentence.hasPrefix(" Drained as before: endpoint ws://a:100, endpoint ws://a:101,"))
        #expect(sentence.hasSuffix("endpoint ws://a:119, and 6 more."), "\(sentence)")
    }
}
