// SPDX-License-Identifier: Apache-2.0
import Glibc

/// What stands at the path of a unix socket before somebody listens there.
public enum SocketPlace: Equatable, Sendable {
    /// Nothing, or a name of the abstract name space, which is no file.
    case free
    /// A socket at which nobody listens any more.
    case abandoned
    /// A socket at which somebody listens, or at which this user can't find out.
    case taken
    /// Something else, in words, as "a folder"; it is nobody's to replace.
    case other(String)

    /// Looks at the path, and knocks where a socket is.
    public init(_ address: Address) throws(SystemError) {
        guard !address.path.hasPrefix("@") else {
            self = .free
            return
        }
        var status = stat()
        guard lstat(address.path, &status) == 0 else {
            self = .free
            return
        }
        guard status.st_mode & S_IFMT == S_IFSOCK else {
            self = .other(Self.words(for: status.st_mode & S_IFMT))
            return
        }
        let socket = try Socket.stream(for: address)
        switch socket.connect(to: address) {
        case .failed(ECONNREFUSED): self = .abandoned
        case .failed(ENOENT): self = .free
        // A full queue, no right to connect, or a socket of another kind.
        case .connected, .inProgress, .failed: self = .taken
        }
    }

    private static func words(for kind: mode_t) -> String {
        switch kind {
        case S_IFREG: "a regular file"
        case S_IFDIR: "a folder"
        case S_IFIFO: "a pipe"
        case S_IFLNK: "a symbolic link"
        case S_IFCHR, S_IFBLK: "a device"
        default: "something else"
        }
    }
}

/// The file of a unix socket as this process has made it.
public struct SocketFile: Sendable {
    private let path: String
    private let device: dev_t
    private let inode: ino_t

    /// The file that stands there now; nil where there is none.
    public init?(_ path: String) {
        guard !path.isEmpty, !path.hasPrefix("@") else { return nil }
        var status = stat()
        guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFSOCK else { return nil }
        self.path = path
        device = status.st_dev
        inode = status.st_ino
    }

    /// Removes it, unless something else stands there by now.
    public func remove() {
        var status = stat()
        guard lstat(path, &status) == 0, status.st_dev == device, status.st_ino == inode else {
            return
        }
        unlink(path)
    }
}
