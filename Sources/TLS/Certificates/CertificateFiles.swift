// SPDX-License-Identifier: Apache-2.0
import Glibc

/// Writes certificates and keys: whole or not at all, and a key never readable by others, not even
/// for the moment between making the file and setting its mode.
enum CertificateFiles {
    static let directoryMode: mode_t = 0o700
    static let keyMode: mode_t = 0o600
    static let certificateMode: mode_t = 0o644

    /// Puts `bytes` at `path`, or where links there lead, in one step; what is no regular file stays.
    static func replace(
        _ path: String, mode: mode_t, with bytes: UnsafeRawBufferPointer
    ) throws(CertificateFault) {
        do throws(FileWriting.Fault) {
            try FileWriting.put(bytes, at: path, mode: mode, others: .refuse)
        } catch {
            switch error {
            case .system(let call, let code):
                errno = code
                throw .system(
                    call, path, remedy: "check the directory's owner and the room on the disk")
            case .occupied(let what):
                throw CertificateFault(
                    path, found: "it is no file, but \(what)",
                    remedy: "move it away, or choose another directory")
            case .unread: preconditionFailure("only what is written through has a reader")
            }
        }
    }

    /// Makes `directory` and what is missing above it, for the owner only.
    static func makeDirectory(_ directory: String) throws(CertificateFault) {
        var status = stat()
        if stat(directory, &status) == 0 {
            if status.st_mode & S_IFMT == S_IFDIR { return }
            throw CertificateFault(
                directory, found: "it is a file", remedy: "a directory is needed there")
        }
        let above = parent(of: directory)
        if above != directory { try makeDirectory(above) }
        // Somebody else may have made it just now, which is as good.
        guard mkdir(directory, directoryMode) == 0 || errno == EEXIST else {
            // What is above is there. So it takes none (mkdir(2)): that of /proc does not, nor one that must not change.
            if errno == ENOENT || errno == EPERM {
                throw CertificateFault(
                    directory, found: "no directory can be made in \(above)",
                    remedy: "choose another one")
            }
            throw .system("mkdir", directory, remedy: "check who may write to \(above)")
        }
    }

    /// Runs `body` while no other process does so for the same directory: two that start at once
    /// must not each make an authority, and mix the certificate of one with the key of the other.
    static func locked<Result>(
        _ directory: String, _ body: () throws(CertificateFault) -> Result
    ) throws(CertificateFault) -> Result {
        let descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw .system("open", directory, remedy: "check the directory's owner")
        }
        defer { close(descriptor) }
        while flock(descriptor, LOCK_EX) != 0 {
            guard errno == EINTR else {
                throw .system("lock", directory, remedy: "put it on a local file system")
            }
        }
        return try body()
    }

    /// Whether there is anything but an empty file; an empty one is what a full disk leaves.
    ///
    /// What is no file, as a pipe, counts: whoever reads it says so.
    static func hasContent(_ path: String) -> Bool {
        var status = stat()
        guard stat(path, &status) == 0 else { return false }
        return status.st_size > 0 || status.st_mode & S_IFMT != S_IFREG
    }

    static func parent(of path: String) -> String {
        var trimmed = path[...]
        while trimmed.count > 1, trimmed.hasSuffix("/") { trimmed.removeLast() }
        guard let slash = trimmed.lastIndex(of: "/") else { return "." }
        return slash == trimmed.startIndex ? "/" : String(trimmed[..<slash])
    }
}
