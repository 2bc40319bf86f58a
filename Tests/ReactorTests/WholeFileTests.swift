// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import Testing

@testable import Reactor

/// Goal: whatever stands in the place of a file, reading it comes to an end.
///
/// Method: pipes without a writer, with one that writes, with one that never ends; devices without end.
struct WholeFileTests {
    /// A pipe with a name, in a folder of its own that goes with it.
    private final class NamedPipe {
        let folder: String
        var path: String { folder + "/pipe" }

        init() throws {
            folder = NSTemporaryDirectory() + "/text-\(UUID().uuidString)"
            try FileManager.default.createDirectory(
                atPath: folder, withIntermediateDirectories: true)
            try #require(mkfifo(path, 0o600) == 0)
        }

        deinit { try? FileManager.default.removeItem(atPath: folder) }
    }

    private func sentence(_ path: String) -> String? {
        do throws(WholeFile.Refusal) {
            _ = try WholeFile.read(path, patienceMilliseconds: 50)
            return nil
        } catch {
            return error.sentence
        }
    }

    @Test func `a pipe that nobody writes to is refused`() throws {
        let pipe = try NamedPipe()
        #expect(sentence(pipe.path)?.contains("it is a pipe, and nobody has written") == true)
    }

    @Test func `a pipe whose writer does not end is refused`() throws {
        let pipe = try NamedPipe()
        // Both ends, so that opening it waits for nobody.
        let writer = open(pipe.path, O_RDWR | O_CLOEXEC)
        defer { close(writer) }
        #expect(write(writer, "listen: ", 8) == 8)
        #expect(sentence(pipe.path)?.contains("it is a pipe, and nobody has written") == true)
    }

    @Test func `a pipe is read to the end that its writer gives it`() throws {
        let pipe = try NamedPipe()
        // More than a pipe holds.
        let text = String(repeating: "0123456789abcdef", count: 20_000)
        let writer = Process()
        writer.executableURL = URL(fileURLWithPath: "/bin/sh")
        writer.arguments = ["-c", "cat > \"$1\"", "sh", pipe.path]
        let input = Pipe()
        writer.standardInput = input
        try writer.run()
        let thread = Thread {
            input.fileHandleForWriting.write(Data(text.utf8))
            try? input.fileHandleForWriting.close()
        }
        thread.start()
        let read = try WholeFile.read(pipe.path, patienceMilliseconds: 60_000)
        writer.waitUntilExit()
        #expect(String(decoding: read, as: UTF8.self) == text)
    }

    @Test func `a device without end is refused at the bound, an empty one is empty`() throws {
        #expect(sentence("/dev/zero") == "it is larger than 16 MiB")
        #expect(try WholeFile.read("/dev/null").isEmpty)
    }

    @Test func `what is no file is told by what it is`() throws {
        let pipe = try NamedPipe()
        #expect(sentence(pipe.folder) == "it can't be read: it is a directory")
        #expect(sentence(pipe.folder + "/none") == "there is no such file")
        #expect(sentence(pipe.path + "/below")?.hasPrefix("it can't be read: ") == true)
    }
}
