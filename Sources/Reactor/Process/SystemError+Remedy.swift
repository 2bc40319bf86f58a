// SPDX-License-Identifier: Apache-2.0
import Glibc

extension SystemError {
    /// What the reader can do about it, as a clause; nil where nothing is known to help.
    public var remedy: String? {
        switch subject {
        case .listening(let address): Self.remedy(code, listeningAt: address)
        case .occupied(_, let what):
            "\(what) stands there and no socket: move it away, or choose another path"
        case .file(let path): Self.remedy(code, file: path)
        case .other: Self.remedy(code)
        }
    }

    /// What to do about an address that can't be listened at.
    private static func remedy(_ code: Int32, listeningAt address: Address) -> String? {
        if address.isUnix { return remedy(code, socketFile: address.path) }
        switch code {
        case EACCES, EPERM:
            if address.port >= 1_024 || address.port == 0 {
                return "this user may not listen there: see what the service's sandbox allows"
            }
            return "ports below 1024 are root's. Let this program have them:"
                + " sudo setcap cap_net_bind_service=+ep PROGRAM; or every program:"
                + " sudo sysctl net.ipv4.ip_unprivileged_port_start=\(address.port); or take a port from"
                + " 1024 on, as 8443"
        case EADDRINUSE: return "stop the program that listens there, or choose another port"
        case EADDRNOTAVAIL:
            return
                "this machine has no such address: `ip address` lists those that it has, and 0.0.0.0"
                + " or [::] stands for all"
        case EAFNOSUPPORT:
            return
                "this machine has no \(address.isIPv6 ? "IPv6" : "IPv4"): choose an address of the"
                + " other family"
        default: return remedy(code)
        }
    }

    private static func remedy(_ code: Int32, socketFile path: String) -> String? {
        switch code {
        case EADDRINUSE:
            "another program listens there: stop that one, or choose another path"
        case EINVAL, ENAMETOOLONG:
            "the path of a socket has 107 bytes at most: choose a shorter one"
        case ENOTSOCK: "what is there is no socket: remove it, or choose another path"
        default: remedy(code, file: path)
        }
    }

    /// What to do about a file that can't be opened, made or written.
    public static func remedy(_ code: Int32, file path: String) -> String? {
        let folder = folder(of: path)
        return switch code {
        case ENOENT: "make the folder first: mkdir -p \(word(folder))"
        case EACCES, EPERM: "let this user in there: namei -l \(word(path)) shows who may do what"
        case ENOTDIR: "\(folder) has to be a folder: choose another path"
        case EISDIR: "that is a folder: give the path of a file"
        case EROFS: "that file system is read-only: choose another path"
        case ENOSPC, EDQUOT: "make room there: df -h \(word(folder)) shows how much there is"
        case ENAMETOOLONG: "choose a shorter path"
        case ENXIO: "nobody reads from that pipe, or there is no such device: choose another path"
        default: remedy(code)
        }
    }

    /// What to do about a resource that is used up, whatever it was wanted for.
    static func remedy(_ code: Int32) -> String? {
        if let shortage = Shortage(code) {
            return shortage.cure.prefix(1).lowercased() + shortage.cure.dropFirst().dropLast()
        }
        switch code {
        case EAGAIN:
            return
                "this user or service may have no more threads: raise ulimit -u or TasksMax= of the unit"
        case ENOSPC, EDQUOT: return "make room on the disk: df -h shows where there is none"
        default: return nil
        }
    }

    /// What to do where nobody could be connected to at an address, as a sentence.
    public static func advice(connecting code: Int32) -> String {
        switch code {
        case ECONNREFUSED: "Start what should listen there, or correct its address."
        case ENOENT: "There is no such socket file: start what makes it, or correct its path."
        case EACCES, EPERM:
            "This user may not connect there: see the rights of the file, or packet filters."
        case ETIMEDOUT, EHOSTUNREACH, ENETUNREACH, EHOSTDOWN, ENETDOWN:
            "See the way there: routes, packet filters, and whether that machine is up."
        case EADDRNOTAVAIL, EAFNOSUPPORT:
            "This machine has no address of that family: give one of the other."
        case ECONNRESET, EPIPE: "See the log of what listens there: it closes connections at once."
        default: "See whether it is up, and whether its address is right."
        }
    }

    private static func folder(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    /// A path as one word of a shell.
    private static func word(_ text: String) -> String {
        let isPlain = text.utf8.allSatisfy { byte in
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
            default: "/._-+@%:".utf8.contains(byte)
            }
        }
        return isPlain && !text.isEmpty
            ? text
            : "'"
                + text.split(separator: "'", omittingEmptySubsequences: false)
                .joined(separator: "'\\''") + "'"
    }
}
