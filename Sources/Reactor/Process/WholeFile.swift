// SPDX-License-Identifier: Apache-2.0
import Glibc

/// A file that is read whole, within a bound of bytes and, where it is a pipe, of time.
///
/// A pipe that nobody writes to would be waited for without end, and with it whoever asks for the file.
public enum WholeFile {
    /// More than any configuration has.
    static let bytesMax = 16 * 1_048_576
    /// How long the whole of a pipe or socket may take to come, unless something else is said.
    public static let patienceMilliseconds: UInt64 = 5_000

    /// Why a file is not read, as a clause behind its name.
    public struct Refusal: Error, Equatable {
        /// What is in the way.
        public let sentence: String
        /// What the reader can do about it, as a clause.
        public let remedy: String
    }

    /// Reads a file, a pipe up to the end that its writer gives it, or a device; 16 MiB at most.
    public static func read(
        _ path: String, patienceMilliseconds: UInt64 = patienceMilliseconds
    ) throws(Refusal) -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)
        guard descriptor >= 0 else {
            throw errno == ENOENT
                ? Refusal(sentence: "there is no such file", remedy: "correct the path")
                : failure(path)
        }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw failure(path) }
        let kind = status.st_mode & S_IFMT
        if kind == S_IFDIR {
            throw Refusal(
                sentence: "it can't be read: it is a directory", remedy: "give the file in it")
        }
        // At a terminal somebody may take time to type.
        let isPipe = kind == S_IFIFO || kind == S_IFSOCK
        if !isPipe { _ = fcntl(descriptor, F_SETFL, 0) }
        let end = isPipe ? Clock.nowMilliseconds() + patienceMilliseconds : nil
        var whole: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 65_536)
        while true {
            if let end { try awaitInput(descriptor, until: end, patienceMilliseconds) }
            let count = Glibc.read(descriptor, &piece, piece.count)
            if count < 0, errno == EINTR || errno == EAGAIN { continue }
            guard count >= 0 else { throw failure(path) }
            if count == 0 { return whole }
            whole.append(contentsOf: piece.prefix(count))
            guard whole.count <= bytesMax else {
                throw Refusal(
                    sentence: "it is larger than \(bytesMax / 1_048_576) MiB",
                    remedy: "give the right file")
            }
        }
    }

    /// Waits for bytes or the end, which a pipe has only behind a writer.
    private static func awaitInput(
        _ descriptor: Int32, until end: UInt64, _ patienceMilliseconds: UInt64
    ) throws(Refusal) {
        while true {
            var waitFor = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            let now = Clock.nowMilliseconds()
            if now < end, poll(&waitFor, 1, Int32(clamping: end - now)) > 0 { return }
            guard Clock.nowMilliseconds() < end else {
                throw Refusal(
                    sentence: "it can't be read: it is a pipe, and nobody has written all of it"
                        + " within \(patienceMilliseconds / 1_000) s",
                    remedy: "write it sooner, or give a file")
            }
        }
    }

    private static func failure(_ path: String) -> Refusal {
        let code = errno
        return Refusal(
            sentence: "it can't be read: \(SystemError.text(of: code))",
            remedy: SystemError.remedy(code, file: path) ?? "see whether the disk is in order")
    }
}
