// SPDX-License-Identifier: Apache-2.0
import CLinux
import Glibc

/// Why a name has no address.
public struct ResolveFault: Error, Sendable, Equatable, CustomStringConvertible {
    /// What was looked up and what went wrong.
    public let sentence: String
    /// Why the name has no address, as a sentence.
    public var description: String { sentence }
}

/// Looks names up.
///
/// It may take seconds: never on a reactor's thread.
public enum Resolver {
    /// All addresses of a host in the order in which they should be tried.
    public static func resolve(
        host: String, port: UInt16
    ) throws(ResolveFault) -> [Address] {
        if let address = Address(host: host, port: port) { return [address] }
        if let addresses = thisMachine(host, port: port) { return addresses }
        var hints = addrinfo()
        hints.ai_family = AF_UNSPEC
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_flags = AI_ADDRCONFIG
        var list: UnsafeMutablePointer<addrinfo>?
        var code = getaddrinfo(host, nil, &hints, &list)
        if code != 0 && code != EAI_SYSTEM {
            // AI_ADDRCONFIG does not count loopback: without a network even localhost has no
            // address.
            hints.ai_flags = 0
            code = getaddrinfo(host, nil, &hints, &list)
        }
        guard code == 0 else {
            let reason = code == EAI_SYSTEM ? SystemError.text(of: errno) : text(of: code)
            throw ResolveFault(sentence: "\(host) cannot be resolved: \(reason); \(advice)")
        }
        defer { freeaddrinfo(list) }
        var addresses: [Address] = []
        var entry = list
        while let info = entry {
            if let pointer = info.pointee.ai_addr {
                let length = Int(info.pointee.ai_addrlen)
                let address = Address(socketAddress: pointer, length: length)?.with(port: port)
                if let address, !addresses.contains(address) { addresses.append(address) }
            }
            entry = info.pointee.ai_next
        }
        guard !addresses.isEmpty else {
            throw ResolveFault(sentence: "\(host) has no IPv4 or IPv6 address")
        }
        return addresses
    }

    /// Both loopback addresses where the name is `localhost` or ends with it; nil for another name.
    ///
    /// Nobody is asked, neither a server nor the hosts file, which often knows one of them alone while
    /// the app listens at the other (RFC 6761 §6.3).
    public static func thisMachine(_ host: String, port: UInt16) -> [Address]? {
        var name = host.lowercased()[...]
        if name.hasSuffix(".") { name = name.dropLast() }
        guard name == "localhost" || name.hasSuffix(".localhost") else { return nil }
        return [.loopback(port: port), .loopback(port: port, isIPv6: true)]
    }

    /// What to do about a name that can't be resolved, as a clause.
    public static let advice =
        "see whether the name is right, and whether DNS or /etc/hosts has it"

    private static func text(of code: Int32) -> String {
        gai_strerror(code).map { String(cString: $0) } ?? "error \(code)"
    }
}
