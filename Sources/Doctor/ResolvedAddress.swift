// SPDX-License-Identifier: Apache-2.0
import Glibc
import Synchronization

/// An address of a name, ready for connect(2).
struct ResolvedAddress {
    let family: Int32
    let bytes: [UInt8]
    /// As people write it.
    let text: String

    /// The address family's name for people: `IPv4` or `IPv6`.
    var familyName: String { family == AF_INET6 ? "IPv6" : "IPv4" }

    /// Whether the system does not know it, and browsers try it all the same.
    var isAssumed = false

    /// Why the system has no address at all for the name, which browsers know by themselves; nil where it has one.
    var isUnknownSince: String?

    /// Whether packets to it stay on this machine.
    var isLoopback: Bool { text == "::1" || family == AF_INET && text.hasPrefix("127.") }

    /// The addresses of a name, in the system's order; waits for name servers up to `deadline`, in seconds
    /// of `Line.now`.
    ///
    /// localhost and the names below it are this machine on IPv4 and IPv6, whatever the system knows of them
    /// (RFC 6761 §6.3): browsers ask nobody for them, and neither does Sluice.
    static func find(
        _ name: String, port: UInt16, by deadline: Double
    ) -> Result<[ResolvedAddress], NameFault> {
        guard SocketURL.isLocalhost(name) else {
            return LookUp.find(name, port: port, by: deadline)
        }
        // Most of the time is for what comes behind that.
        let known = LookUp.find(
            name, port: port, by: Line.now() + max(0, deadline - Line.now()) / 3)
        var loopback = ((try? known.get()) ?? []).filter(\.isLoopback)
        let systemKnowsIt = !loopback.isEmpty
        let reason: String?
        switch known {
        case .success: reason = systemKnowsIt ? nil : "it stands for another machine there"
        case .failure(let fault): reason = fault.reason
        }
        for literal in ["127.0.0.1", "::1"] {
            guard var own = (try? ask(literal, port: port).get())?.first,
                !loopback.contains(where: { $0.family == own.family })
            else { continue }
            own.isAssumed = systemKnowsIt
            own.isUnknownSince = systemKnowsIt ? nil : reason
            loopback.append(own)
        }
        return .success(loopback)
    }

    /// What the system says; waits as long as its resolver does.
    fileprivate static func ask(
        _ name: String, port: UInt16
    ) -> Result<[ResolvedAddress], NameFault> {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(name, String(port), &hints, &list)
        guard code == 0 else {
            return .failure(NameFault(code))
        }
        defer { freeaddrinfo(list) }
        var found: [ResolvedAddress] = []
        var entry = list
        while let info = entry?.pointee {
            entry = info.ai_next
            guard let address = info.ai_addr else { continue }
            let bytes = Array(
                UnsafeRawBufferPointer(start: address, count: Int(info.ai_addrlen)))
            var text = [CChar](repeating: 0, count: 1025)
            getnameinfo(
                address, info.ai_addrlen, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST)
            let end = text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
            found.append(
                ResolvedAddress(
                    family: info.ai_family, bytes: bytes,
                    text: String(decoding: end, as: UTF8.self)))
        }
        return .success(found)
    }
}

/// Names as programs look them up that are no browsers.
public enum SystemNames {
    /// Whether the system's resolver says that a name is this machine; waits for as long as that takes.
    public static func isThisMachine(_ name: String) -> Bool {
        ((try? ResolvedAddress.ask(name, port: 0).get()) ?? []).contains(where: \.isLoopback)
    }

    /// That browsers alone reach a name below `localhost`, and what has the others reach it.
    public static func notice(_ name: String, since reason: String) -> String {
        "browsers reach \(name) by themselves, and other programs do not, since \(reason). For them, add the"
            + " line `127.0.0.1 \(name)` to /etc/hosts."
    }
}

/// A look-up on a thread of its own, since the system's resolver takes the time that it likes
/// (resolv.conf(5): up to minutes).
private final class LookUp: Sendable {
    private let name: String
    private let port: UInt16
    private let outcome = Mutex<Result<[ResolvedAddress], NameFault>?>(nil)
    private let ends: (reading: Int32, writing: Int32)

    private init?(_ name: String, _ port: UInt16) {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { return nil }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        self.name = name
        self.port = port
        self.ends = (ends[0], ends[1])
    }

    deinit {
        close(ends.reading)
        close(ends.writing)
    }

    /// What the system says, if it says it by then.
    static func find(
        _ name: String, port: UInt16, by deadline: Double
    ) -> Result<[ResolvedAddress], NameFault> {
        guard let lookUp = LookUp(name, port), lookUp.start() else {
            return ResolvedAddress.ask(name, port: port)
        }
        return lookUp.wait(by: deadline) ?? .failure(.late)
    }

    private func start() -> Bool {
        var thread = pthread_t()
        let own = Unmanaged.passRetained(self)
        let code = pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                Unmanaged<LookUp>.fromOpaque(argument).takeRetainedValue().run()
                return nil
            }, own.toOpaque())
        guard code == 0 else {
            own.release()
            return false
        }
        pthread_detach(thread)
        return true
    }

    private func run() {
        let found = ResolvedAddress.ask(name, port: port)
        outcome.withLock { $0 = found }
        var byte: UInt8 = 1
        _ = write(ends.writing, &byte, 1)
    }

    private func wait(by deadline: Double) -> Result<[ResolvedAddress], NameFault>? {
        while true {
            let left = max(0, deadline - Line.now())
            var entry = pollfd(fd: ends.reading, events: Int16(POLLIN), revents: 0)
            let count = poll(&entry, 1, Int32(min(left * 1_000 + 1, 1e9)))
            if count > 0 || count == 0 && left == 0 { return outcome.withLock { $0 } }
        }
    }
}

/// Why a name has no address.
struct NameFault: Error {
    /// Why, as a clause.
    let reason: String
    /// What the user can do about it, in a sentence.
    let remedy: String

    private init(reason: String, remedy: String) {
        self.reason = reason
        self.remedy = remedy
    }

    /// No name server has answered in time.
    static let late = NameFault(
        reason: "no name server answers in time",
        remedy: "See which name servers this machine asks (resolvectl status, /etc/resolv.conf) and"
            + " whether they can be reached, or give the address with --resolve.")

    private static let correct = "Correct the name in the URL, or enter it in DNS or /etc/hosts."

    /// The name has records and no address (netdb.h, among the extensions of GNU).
    private static let noData: Int32 = -5

    /// What a code of getaddrinfo(3) means.
    init(_ code: Int32) {
        switch code {
        case EAI_NONAME, Self.noData:
            self.init(reason: "neither DNS nor /etc/hosts knows it", remedy: Self.correct)
        case EAI_AGAIN:
            self.init(reason: "no name server answers", remedy: Self.late.remedy)
        case EAI_FAIL:
            self.init(
                reason: "the name server fails to answer for it",
                remedy:
                    "Try it later or by another name server, or give the address with --resolve.")
        default:
            self.init(
                reason: "the system can't look it up (\(String(cString: gai_strerror(code))))",
                remedy: Self.correct)
        }
    }
}
