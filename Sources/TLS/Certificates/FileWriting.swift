// SPDX-License-Identifier: Apache-2.0
import Glibc

/// Puts bytes where a path leads: into a regular file, whole or not at all, or through a pipe or a device.
///
/// What stands at the end of all links stays what it is: a link stays a link, and a pipe a pipe.
public enum FileWriting {
    /// Why nothing was written, or not all.
    public enum Fault: Error, Equatable, Sendable {
        /// A system call failed; its name and the `errno`.
        case system(String, Int32)
        /// What stands there takes no bytes; what it is, as "a socket".
        case occupied(String)
        /// It is a pipe, and nobody has opened it for reading in time.
        case unread
    }

    /// What becomes of pipes and devices.
    enum Others { case writeThrough, refuse }

    /// How long a pipe may have no reader, in milliseconds: as long as a configuration may take to come.
    static let readerMilliseconds = 5_000

    /// Writes for people, where they have asked for it: a file that is there keeps its mode and its owner, as far
    /// as this user may give it away.
    public static func write(_ bytes: [UInt8], to path: String) throws(Fault) {
        let outcome = bytes.withUnsafeBytes { raw -> Result<Void, Fault> in
            do throws(Fault) {
                return .success(try put(raw, at: path, mode: nil, others: .writeThrough))
            } catch {
                return .failure(error)
            }
        }
        try outcome.get()
    }

    /// Puts `bytes` into the file at the end of all links.
    ///
    /// `mode` is the one that the file gets; nil for the one that it has, or what umask(2) leaves of 0666.
    static func put(
        _ bytes: UnsafeRawBufferPointer, at path: String, mode: mode_t?, others: Others
    ) throws(Fault) {
        var status = stat()
        guard stat(path, &status) == 0 else {
            let code = errno
            // Nothing is there, or a link that leads to nothing.
            guard code == ENOENT else { throw .system("open", code) }
            try replace(try end(of: path), mode: mode, was: nil, with: bytes)
            return
        }
        let kind = status.st_mode & S_IFMT
        if kind == S_IFREG {
            if let real = realpath(path, nil) {
                defer { free(real) }
                let name = String(cString: real)
                if isSame(name, status) {
                    try replace(name, mode: mode, was: status, with: bytes)
                    return
                }
            }
            // Reached through a descriptor, and without a name any more.
            try pass(bytes, to: path, flags: O_TRUNC)
            return
        }
        guard others == .writeThrough, kind == S_IFIFO || kind == S_IFCHR else {
            throw .occupied(words(for: kind))
        }
        try pass(bytes, to: path, flags: kind == S_IFIFO ? O_NONBLOCK : 0)
    }

    /// What a file is that is no regular one.
    static func words(for kind: mode_t) -> String {
        switch kind {
        case S_IFDIR: "a folder"
        case S_IFIFO: "a pipe"
        case S_IFSOCK: "a socket"
        case S_IFCHR, S_IFBLK: "a device"
        default: "no regular file"
        }
    }

    /// Where a path leads at whose end nothing is.
    private static func end(of path: String) throws(Fault) -> String {
        var path = path
        // As many as the system follows (path_resolution(7)).
        for _ in 0..<40 {
            var target = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
            let count = readlink(path, &target, target.count - 1)
            if count < 0 { return path }
            let text = String(
                decoding: target.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
            path = text.hasPrefix("/") ? text : CertificateFiles.parent(of: path) + "/" + text
        }
        throw .system("open", ELOOP)
    }

    private static func isSame(_ path: String, _ status: stat) -> Bool {
        var other = stat()
        return stat(path, &other) == 0 && other.st_dev == status.st_dev
            && other.st_ino == status.st_ino
    }

    /// A new file beside it, then `rename(2)`: in one step, and never readable by more than it will be.
    private static func replace(
        _ path: String, mode: mode_t?, was: stat?, with bytes: UnsafeRawBufferPointer
    ) throws(Fault) {
        let temporary = "\(path).\(UInt64.random(in: .min ... .max)).new"
        let descriptor = open(
            temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
            mode ?? (was == nil ? 0o666 : 0o600))
        guard descriptor >= 0 else { throw .system("create", errno) }
        var isWritten = writeAll(bytes, to: descriptor)
        if isWritten, mode == nil, let was {
            // Nobody else's file becomes this user's, where that can be helped.
            _ = fchown(descriptor, was.st_uid, was.st_gid)
            isWritten = fchmod(descriptor, was.st_mode & 0o7777) == 0
        }
        isWritten = isWritten && fsync(descriptor) == 0
        var code = errno
        if close(descriptor) != 0, isWritten {
            isWritten = false
            code = errno
        }
        guard isWritten else {
            unlink(temporary)
            throw .system("write", code)
        }
        guard rename(temporary, path) == 0 else {
            code = errno
            unlink(temporary)
            throw .system("rename", code)
        }
    }

    /// Writes through what takes bytes, and waits a while for the reader of a pipe.
    private static func pass(
        _ bytes: UnsafeRawBufferPointer, to path: String, flags: Int32
    ) throws(Fault) {
        var descriptor: Int32 = -1
        var waited = 0
        while true {
            descriptor = open(path, O_WRONLY | O_NOCTTY | O_CLOEXEC | flags)
            if descriptor >= 0 { break }
            guard errno == ENXIO, flags & O_NONBLOCK != 0 else { throw .system("open", errno) }
            guard waited < readerMilliseconds else { throw .unread }
            usleep(20_000)
            waited += 20
        }
        if flags & O_NONBLOCK != 0 {
            _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) & ~O_NONBLOCK)
        }
        let isWritten = writeAll(bytes, to: descriptor)
        let code = errno
        guard close(descriptor) == 0, isWritten else {
            throw .system("write", isWritten ? errno : code)
        }
    }

    private static func writeAll(_ bytes: UnsafeRawBufferPointer, to descriptor: Int32) -> Bool {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = Glibc.write(
                descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return false }
            rest = rest.dropFirst(count)
        }
        return true
    }
}
