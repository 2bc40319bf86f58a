// SPDX-License-Identifier: Apache-2.0
import Admin
import Foundation
import Glibc
public import Reactor

/// Who listens where somebody else wants to, as far as `/proc` tells.
public enum PortHolder {
    /// The sockets of the two kinds, as proc(5) shows them.
    private static let tables = [("/proc/net/tcp", false), ("/proc/net/tcp6", true)]

    /// Why an address can't be listened at, and what to do: of one that is taken, who has it and which port is
    /// free.
    ///
    /// - Parameters:
    ///   - error: what binding has failed with.
    ///   - own: where this Sluice listens at present, or the one whose sockets it is to take over.
    /// - Returns: a sentence without its full stop.
    public static func sentence(on error: SystemError, own: [Address] = []) -> String {
        guard let address = error.listeningAddress else { return error.description }
        switch error.code {
        case EADDRINUSE where !address.isUnix && own.contains { overlap($0, address) }:
            let other = own.first { overlap($0, address) } ?? address
            return
                "\(address) can't be listened at as long as \(other) is open, at which this Sluice listens for"
                + " a service manager, which keeps it open: change ListenStream= of the .socket unit, and"
                + " restart both units"
        case EADDRINUSE:
            let holder = sentence(for: address).map { " by \($0)" } ?? ""
            if address.isUnix {
                return error.cause + holder + (error.remedy.map { "; \($0)" } ?? "")
            }
            let other = FreePort.after(address).map { "listen on port \($0), which is free" }
            return "\(address) is taken\(holder): stop that program, or"
                + " \(other ?? "listen on another port")"
        // The program that has to get the right, by name.
        case EACCES where !address.isUnix:
            guard let program = Successor.programPath() else { return error.description }
            return error.description.replacing("PROGRAM", with: program)
        default: return error.description
        }
    }

    /// Whether two addresses of TCP can't both be listened at: one stands for all addresses of the port.
    private static func overlap(_ one: Address, _ other: Address) -> Bool {
        !one.isUnix && one.port == other.port && (one.isWildcard || other.isWildcard)
    }

    /// Those who listen on that address, in words; nil where nothing is known of anybody.
    public static func sentence(for address: Address) -> String? {
        if address.isUnix {
            // Of a process in another container the system tells no number.
            guard let process = AdminClient.process(at: address), process > 0 else { return nil }
            return "\(program(String(process))) (process \(process))"
        }
        let sockets = tables.flatMap { path, isIPv6 in
            self.sockets(in: text(of: path), isIPv6: isIPv6, standingInTheWayOf: address)
        }
        guard !sockets.isEmpty else { return nil }
        let holders = processes(holding: Set(sockets.map(\.inode)))
        if !holders.isEmpty { return holders.sorted().joined(separator: ", ") }
        return sockets.first.map { "a process of user \(account($0.user))" }
    }

    /// A file of `/proc`, which comes in pieces: Foundation takes the first for the whole.
    private static func text(of path: String) -> String {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return "" }
        defer { close(descriptor) }
        var text: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = read(descriptor, &piece, piece.count)
            if count < 0 && errno == EINTR { continue }
            if count <= 0 { return String(decoding: text, as: UTF8.self) }
            text += piece.prefix(count)
        }
    }

    /// A listening socket of this machine, as a table below `/proc/net` names it.
    struct ListeningSocket: Equatable {
        let inode: UInt64
        let user: UInt32
    }

    /// The sockets of a table that keep an address from being bound.
    static func sockets(
        in table: String, isIPv6: Bool, standingInTheWayOf address: Address
    ) -> [ListeningSocket] {
        let wanted = address.isIPv6 == isIPv6 ? words(of: address) : nil
        return table.split(separator: "\n").dropFirst().compactMap { line in
            let fields = line.split(separator: " ")
            // 0A is TCP_LISTEN.
            guard fields.count > 9, fields[3] == "0A", let inode = UInt64(fields[9]),
                let user = UInt32(fields[7])
            else { return nil }
            let place = fields[1].split(separator: ":")
            guard place.count == 2, UInt16(place[1], radix: 16) == address.port else { return nil }
            // "Everywhere" of IPv6 mostly means IPv4 too.
            let isEverywhere = place[0].allSatisfy { $0 == "0" }
            guard isEverywhere || address.isWildcard || wanted == String(place[0]) else {
                return nil
            }
            return ListeningSocket(inode: inode, user: user)
        }
    }

    /// An address as proc(5) writes it: its words in the machine's byte order, in hexadecimal.
    private static func words(of address: Address) -> String? {
        var bytes = [UInt8](repeating: 0, count: address.isIPv6 ? 16 : 4)
        let family = address.isIPv6 ? AF_INET6 : AF_INET
        let host = address.hostString.prefix { $0 != "%" }
        guard inet_pton(family, String(host), &bytes) == 1 else { return nil }
        return bytes.withUnsafeBytes { raw in
            raw.bindMemory(to: UInt32.self).map { word in
                let text = String(word, radix: 16, uppercase: true)
                return String(repeating: "0", count: 8 - text.count) + text
            }.joined()
        }
    }

    /// The processes that have one of the sockets open; those of others show theirs to root only.
    private static func processes(holding inodes: Set<UInt64>) -> Set<String> {
        let manager = FileManager.default
        let names = Set(inodes.map { "socket:[\($0)]" })
        var found: Set<String> = []
        for process in (try? manager.contentsOfDirectory(atPath: "/proc")) ?? [] {
            guard let number = Int32(process),
                let descriptors = try? manager.contentsOfDirectory(atPath: "/proc/\(process)/fd")
            else { continue }
            let holds = descriptors.contains { descriptor in
                let path = "/proc/\(process)/fd/\(descriptor)"
                return (try? manager.destinationOfSymbolicLink(atPath: path)).map(names.contains)
                    ?? false
            }
            if holds { found.insert("\(program(process)) (process \(number))") }
        }
        return found
    }

    /// The command line of a process, short and without anything that talks to a terminal.
    private static func program(_ process: String) -> String {
        let text = text(of: "/proc/\(process)/cmdline").replacing("\0", with: " ")
        let plain = String(
            text.unicodeScalars.map { $0.properties.generalCategory == .control ? "?" : $0 }
                .reduce(into: "") { $0.unicodeScalars.append($1) }
        ).trimmingCharacters(in: .whitespaces)
        return plain.count > 60 ? plain.prefix(59) + "…" : plain.isEmpty ? "a program" : plain
    }

    private static func account(_ user: UInt32) -> String {
        guard let entry = getpwuid(user), let name = entry.pointee.pw_name else {
            return String(user)
        }
        return String(cString: name)
    }
}
