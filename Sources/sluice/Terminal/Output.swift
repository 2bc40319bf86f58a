// SPDX-License-Identifier: Apache-2.0
import Glibc
import Reactor
import Synchronization

/// Standard output, a line at a time: whoever waits for a line in a pipe gets it at once.
///
/// A write that fails is kept for the end of the program, which says so and exits with `ExitCodes.output`; a
/// server says it at once, and serves on.
enum Output {
    /// What is known of standard output.
    private struct State {
        /// The `errno` of the first write that failed.
        var failure: Int32?
        /// Nobody reads it any more, as of `head` that has seen enough.
        var isUnread = false
        var isServers = false
        var isTold = false
    }

    private static let state = Mutex(State())

    /// Whether all that was printed has gone out, as far as anybody wanted it.
    ///
    /// A reader that has seen enough, as `head`, has closed its end: that is no failure.
    static var problem: String? {
        state.withLock { $0.isServers ? nil : $0.failure }.map { code in
            let remedy =
                code == ENOSPC || code == EDQUOT ? "make room there" : "have it go elsewhere"
            return "What there was to print could not be written to standard output"
                + " (\(SystemError.text(of: code))): \(remedy)."
        }
    }

    /// Whether nobody reads standard output any more.
    static var isUnread: Bool { state.withLock { $0.isUnread } }

    /// Takes the standard descriptors that whoever has started the program has closed, so that no socket or file
    /// gets their numbers and what is printed; printing fails then.
    static func holdDescriptors() {
        for descriptor in STDIN_FILENO...STDERR_FILENO where fcntl(descriptor, F_GETFD) < 0 {
            // The lowest number that is free is this one (open(2)), and the wrong way round.
            _ = open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY)
        }
    }

    /// From now on a server prints, which goes on where nothing can be printed.
    static func serves() { state.withLock { $0.isServers = true } }

    /// From now on a write to a pipe whose reader is gone fails with EPIPE, and ends the program no more.
    ///
    /// By a handler that does nothing, since programs that this one starts would inherit an ignored signal; a handler
    /// they do not (execve(2)). Who was started with the signal ignored keeps it so.
    static func outliveReaders() {
        var action = sigaction()
        guard sigaction(SIGPIPE, nil, &action) == 0,
            unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self)
                == unsafeBitCast(SIG_DFL, to: Int.self)
        else { return }
        action = sigaction()
        action.__sigaction_handler.sa_handler = { _ in }
        action.sa_flags = SA_RESTART
        sigaction(SIGPIPE, &action, nil)
    }

    /// Prints a line.
    static func line(_ text: String) { write(Array((text + "\n").utf8)) }

    /// Writes a text or file that has its line ends.
    static func write(_ bytes: [UInt8]) {
        guard let code = write(bytes, to: STDOUT_FILENO) else { return }
        if code == EPIPE { state.withLock { $0.isUnread = true } } else { note(code) }
    }

    /// Writes a line to standard error.
    ///
    /// What steers a terminal is written as an escape, since words of the command line and names of files stand in
    /// these lines. Where nothing can be written there, nobody can be told, and the exit code alone says what is the
    /// matter.
    static func complain(_ text: String) {
        _ = write(Array((escaped(text) + "\n").utf8), to: STDERR_FILENO)
    }

    /// A text with `\r` and `\u{1b}` in place of control characters, line ends apart.
    static func escaped(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\n", "\t": result.unicodeScalars.append(scalar)
            case "\r": result += "\\r"
            default:
                let isHarmful =
                    scalar.properties.generalCategory == .control || scalar.properties.isBidiControl
                if isHarmful {
                    result += "\\u{\(String(scalar.value, radix: 16))}"
                } else {
                    result.unicodeScalars.append(scalar)
                }
            }
        }
        return result
    }

    /// - Returns: the `errno` of the write that failed; nil where all has gone out.
    private static func write(_ bytes: [UInt8], to descriptor: Int32) -> Int32? {
        var rest = bytes[...]
        while !rest.isEmpty {
            let written = rest.withUnsafeBytes {
                Glibc.write(descriptor, $0.baseAddress, $0.count)
            }
            if written < 0 {
                let code = errno
                if code == EINTR { continue }
                guard code == EAGAIN else { return code }
                // Somebody has made the pipe non-blocking for all who have it.
                var waitFor = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                _ = poll(&waitFor, 1, -1)
                continue
            }
            rest = rest.dropFirst(written)
        }
        return nil
    }

    private static func note(_ code: Int32) {
        let isNews = state.withLock { state in
            state.failure = state.failure ?? code
            defer { state.isTold = true }
            return state.isServers && !state.isTold
        }
        guard isNews else { return }
        complain(
            "Standard output can't be written (\(SystemError.text(of: code))): Sluice serves, and what it"
                + " prints is lost.")
    }

    /// Whether a path leads to where standard output goes, as /dev/stdout does.
    static func isAt(_ path: String) -> Bool {
        var (own, other) = (stat(), stat())
        return fstat(STDOUT_FILENO, &own) == 0 && stat(path, &other) == 0
            && own.st_dev == other.st_dev && own.st_ino == other.st_ino
    }
}
