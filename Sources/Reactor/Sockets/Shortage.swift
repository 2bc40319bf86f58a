// SPDX-License-Identifier: Apache-2.0
import CLinux
import Glibc

/// What this machine or process has run out of where a connection could not be made.
///
/// It says nothing of the peer, who may be as well as ever.
public enum Shortage: Sendable, Equatable, CaseIterable {
    /// Every local port is taken towards that peer (`EADDRNOTAVAIL`).
    case ports
    /// The peer's unix socket has a full queue of connections (`EAGAIN`).
    case backlog
    /// An address that connections are to come from is none of this machine's (`EADDRNOTAVAIL`).
    case source
    /// The process has no descriptor left but those that are kept for its own needs (`EMFILE`).
    case descriptors
    /// The system has none left (`ENFILE`).
    case systemDescriptors
    /// The system has no memory for it (`ENOMEM`, `ENOBUFS`).
    case memory
    /// The system lets the user watch no more descriptors (epoll, `ENOSPC`).
    case watches

    /// The shortage that an error code of socket(2) or of a connection tells of; nil for any other.
    public init?(_ code: Int32) {
        switch code {
        case EMFILE: self = .descriptors
        case ENFILE: self = .systemDescriptors
        case ENOMEM, ENOBUFS: self = .memory
        default: return nil
        }
    }

    /// The shortage that a connect(2) to `address` has met, which failed with this code; nil where the
    /// code speaks of the peer, or of the way there.
    public init?(_ code: Int32, connectingTo address: Address, hasSource: Bool) {
        switch code {
        case EAGAIN: self = address.isUnix ? .backlog : .memory
        // Without an address of that family, as where IPv6 is switched off, the code is the same.
        case EADDRNOTAVAIL where hasSource || Socket.hasWay(to: address): self = .ports
        default: self.init(code)
        }
    }

    /// What is missing, as the end of a sentence.
    public var reason: String {
        switch self {
        case .ports: "no local port is free"
        case .backlog: "its queue of connections is full"
        case .source: "the address to come from is none of this machine's"
        case .descriptors: "this process may open no more files"
        case .systemDescriptors: "this system may open no more files"
        case .memory: "this system has no memory for it"
        case .watches: "this system watches no more files"
        }
    }

    /// What somebody can do whose question it was.
    public var advice: String {
        self == .backlog ? "Whoever listens there is too busy to take it: ask again." : cure
    }

    /// What an operator can do about it, as a sentence.
    public var cure: String {
        switch self {
        case .ports:
            "Every port of net.ipv4.ip_local_port_range is in use towards it: widen the range, give"
                + " more addresses to come from (upstreams.NAME.source), more endpoints, or reach it"
                + " by a unix socket."
        case .backlog:
            "The app takes connections too slowly: give its listen() a longer queue and raise"
                + " net.core.somaxconn, or run more of it."
        case .source: "Correct upstreams.NAME.source, or give this machine that address."
        case .descriptors:
            "Raise the limit of open files (LimitNOFILE= in the unit, ulimit -n), or lower"
                + " limits.connections."
        case .systemDescriptors: "Raise fs.file-max."
        case .memory:
            "See net.ipv4.tcp_mem, the memory limit of the service, and what else runs here."
        case .watches: "Raise fs.epoll.max_user_watches."
        }
    }
}

extension Socket {
    /// Whether the system knows a way to an address, and has one of its own to go it from; nothing is
    /// sent.
    static func hasWay(to address: Address) -> Bool {
        let type = Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue)
        let descriptor = socket(address.family, type, 0)
        // The code that asked for this look is believed where nothing better is known.
        guard descriptor >= 0 else { return errno != EAFNOSUPPORT }
        defer { close(descriptor) }
        let code = address.withSockaddr { pointer, length in
            Glibc.connect(descriptor, pointer, length) == 0 ? 0 : errno
        }
        return ![EADDRNOTAVAIL, ENETUNREACH, EHOSTUNREACH, EAFNOSUPPORT].contains(code)
    }

    /// A new socket for a connection on behalf of a client, or of a check: none is opened where only the
    /// descriptors are left that the process keeps for its own needs.
    ///
    /// - Parameters:
    ///   - address: where it will connect to.
    ///   - source: the address to come from, whose port connect(2) chooses, so that one port serves
    ///     towards several peers; nil for the system's choice.
    /// - Returns: the socket, not connected.
    /// - Throws: `DialFault`.
    public static func dialing(
        _ address: Address, from source: Address? = nil
    ) throws(DialFault) -> Socket {
        let type = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
        let descriptor = socket(address.family, type, 0)
        guard descriptor >= 0 else {
            let code = errno
            throw Shortage(code).map(DialFault.shortage) ?? .failed(code)
        }
        let made = Socket(adopting: descriptor)
        guard OpenFiles.mayDial(with: descriptor) else { throw .shortage(.descriptors) }
        guard let source else { return made }
        // IP_BIND_ADDRESS_NO_PORT of <netinet/in.h>, for both families.
        _ = made.set(Int32(IPPROTO_IP), 24, 1)
        let code = source.withSockaddr { bind(made.descriptor, $0, $1) == 0 ? 0 : errno }
        if code == 0 { return made }
        if code == EADDRNOTAVAIL { throw .shortage(.source) }
        throw Shortage(code).map(DialFault.shortage) ?? .failed(code)
    }

    /// Why connections can't come from this address, in the system's words; nil where they can.
    public static func fault(ofSource address: Address) -> String? {
        let type = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
        let descriptor = socket(address.family, type, 0)
        guard descriptor >= 0 else { return SystemError.text(of: errno) }
        defer { close(descriptor) }
        let code = address.withSockaddr { bind(descriptor, $0, $1) == 0 ? 0 : errno }
        return code == 0 ? nil : SystemError.text(of: code)
    }
}

/// Why there is no socket to dial with.
public enum DialFault: Error, Sendable, Equatable {
    /// Something has run out.
    case shortage(Shortage)
    /// The system will not, for this value of `errno`.
    case failed(Int32)
}
