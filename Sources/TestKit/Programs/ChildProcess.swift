// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Synchronization

/// A child process whose output is collected line by line; killed when the last reference goes.
///
/// Started by posix_spawn and not by Foundation's `Process`, whose waiting wants a run loop.
public final class ChildProcess: Sendable {
    /// What a child has printed and how it ended, so far.
    struct Progress: Sendable {
        var output: [String] = []
        var errors: [String] = []
        var openPipes = 2
        /// As waitpid(2) gives it; nil while the child runs.
        var status: Int32?
    }

    /// The process id.
    public let identifier: Int32
    private let progress = Monitor(Progress())

    /// Starts `arguments[0]`, with `environment` added to this process's.
    public init(_ arguments: [String], environment: [String: String] = [:]) throws {
        let (output, errors) = (try Pipe(), try Pipe())
        identifier = try ChildProcess.spawn(arguments, environment, output, errors)
        output.writeEnd.close()
        errors.writeEnd.close()
        let (identifier, progress) = (self.identifier, self.progress)
        ChildProcess.collect(output.readEnd, into: progress) { $0.output.append($1) }
        ChildProcess.collect(errors.readEnd, into: progress) { $0.errors.append($1) }
        _ = TestThread {
            // Reaps under the monitor's lock, so that `signal` can't hit a process id given anew.
            var info = siginfo_t()
            while waitid(P_PID, id_t(identifier), &info, WEXITED | WNOWAIT) < 0, errno == EINTR {}
            progress.update { progress in
                var status: Int32 = 0
                waitpid(identifier, &status, 0)
                progress.status = status
            }
        }
    }

    deinit { signal(SIGKILL) }

    /// Sends a signal if the process has not ended.
    public func signal(_ number: Int32) {
        let identifier = self.identifier
        progress.update { if $0.status == nil { _ = kill(identifier, number) } }
    }

    /// The lines of standard output so far.
    public var output: [String] { progress.value.output }
    /// The lines of standard error so far.
    public var errors: [String] { progress.value.errors }
    /// Whether it has ended.
    public var hasEnded: Bool { progress.value.status != nil }

    /// Waits for the end and all output; returns the exit status, or 128 + the signal's number.
    @discardableResult
    public func waitForExit(by deadline: Deadline = .after()) throws -> Int32 {
        let ended = try progress.wait(for: "the process to end; it said: \(saying)", by: deadline) {
            $0.status != nil && $0.openPipes == 0
        }
        let status = ended.status ?? 0
        return status & 0x7f == 0 ? (status >> 8) & 0xff : 128 + (status & 0x7f)
    }

    /// Waits for `count` lines, on either output, that contain `text`, and returns them.
    @discardableResult
    public func waitForLine(
        containing text: String, count: Int = 1, by deadline: Deadline = .after()
    ) throws -> [String] {
        try waitForLines("\(count) lines with \"\(text)\"", count: count, by: deadline) {
            $0.contains(text)
        }
    }

    /// Waits for `count` lines, on either output, that `isMeant` accepts, and returns them.
    @discardableResult
    public func waitForLines(
        _ what: String, count: Int = 1, by deadline: Deadline = .after(),
        where isMeant: (String) -> Bool
    ) throws -> [String] {
        func matches(_ progress: Progress) -> [String] {
            (progress.output + progress.errors).filter(isMeant)
        }
        let found = try progress.wait(for: "\(what); it said: \(saying)", by: deadline) {
            matches($0).count >= count || ($0.status != nil && $0.openPipes == 0)
        }
        let lines = matches(found)
        guard lines.count >= count else {
            throw PeerError("the process ended without \(what); it said: \(saying)")
        }
        return lines
    }

    private var saying: String {
        let now = progress.value
        return (now.output.suffix(20) + now.errors.suffix(20)).joined(separator: "\n")
    }

    // MARK: Starting

    private struct Pipe {
        let readEnd: Descriptor
        let writeEnd: Descriptor

        init() throws {
            var ends: [Int32] = [-1, -1]
            let result = Descriptor.spawning.withLock { _ in
                let result = pipe(&ends)
                for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
                return result
            }
            guard result == 0 else { throw PeerError.system("pipe") }
            (readEnd, writeEnd) = (Descriptor(ends[0]), Descriptor(ends[1]))
        }
    }

    private static func spawn(
        _ arguments: [String], _ environment: [String: String], _ output: Pipe, _ errors: Pipe
    ) throws -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, output.writeEnd.number, 1)
        posix_spawn_file_actions_adddup2(&actions, errors.writeEnd.number, 2)
        // The child starts with no signal blocked or ignored, whatever the test runner does.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        sigaddset(&signals, SIGPIPE)
        posix_spawnattr_setsigdefault(&attributes, &signals)
        posix_spawnattr_setflags(
            &attributes, Int16(POSIX_SPAWN_SETSIGMASK) | Int16(POSIX_SPAWN_SETSIGDEF))

        let merged = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        var words = arguments.map { strdup($0) } + [nil]
        var settings = merged.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { for word in words + settings { free(word) } }
        var identifier: pid_t = 0
        let code = Descriptor.spawning.withLock { _ in
            posix_spawnp(&identifier, arguments[0], &actions, &attributes, &words, &settings)
        }
        guard code == 0 else { throw PeerError.system("starting \(arguments[0])", code) }
        return identifier
    }

    private static func collect(
        _ end: Descriptor, into progress: Monitor<Progress>,
        _ keep: @escaping @Sendable (inout Progress, String) -> Void
    ) {
        _ = TestThread {
            var partial: [UInt8] = []
            var chunk = [UInt8](repeating: 0, count: 65536)
            while true {
                let count = read(end.number, &chunk, chunk.count)
                if count < 0, errno == EINTR { continue }
                if count <= 0 { break }
                partial += chunk[..<count]
                var lines = partial.split(separator: 10, omittingEmptySubsequences: false)
                partial = Array(lines.removeLast())
                let whole = lines.map { String(decoding: $0, as: UTF8.self) }
                if !whole.isEmpty { progress.update { for line in whole { keep(&$0, line) } } }
            }
            let last = String(decoding: partial, as: UTF8.self)
            progress.update { progress in
                if !last.isEmpty { keep(&progress, last) }
                progress.openPipes -= 1
            }
        }
    }
}

/// Runs a command to its end and returns what it printed, or throws with its words if it failed.
@discardableResult
public func run(
    _ arguments: [String], environment: [String: String] = [:], by deadline: Deadline = .after()
) throws -> [String] {
    let child = try ChildProcess(arguments, environment: environment)
    let status = try child.waitForExit(by: deadline)
    guard status == 0 else {
        let words = (child.output + child.errors).joined(separator: "\n")
        throw PeerError("\(arguments.joined(separator: " ")) exited with \(status): \(words)")
    }
    return child.output
}
