// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc

/// A real DNS server (dnsmasq) on loopback, whose records the test changes and which it ends and
/// starts again at the same port.
public final class NameServer {
    /// Where it listens: `127.x.y.z:port`.
    public let address: String
    /// One of its own, so that nobody else has the port while the server is stopped.
    private let host: in_addr
    private let port: UInt16
    private let folder: String
    private var process: ChildProcess?

    /// Takes a port; `start` starts the server.
    public init() throws {
        folder = try Scratch.makeFolder()
        let host = UInt32.random(in: 0x7F01_0001...0x7FFE_FFFE)
        self.host = in_addr(s_addr: host.bigEndian)
        port = try Self.freePort(self.host)
        address = "\(Self.text(host)):\(port)"
    }

    deinit {
        process?.signal(SIGKILL)
        Scratch.remove(folder)
    }

    /// Starts the server, instead of the one that runs.
    ///
    /// - Parameters:
    ///   - hosts: addresses by name.
    ///   - services: lines as `_ws._tcp.app.test,localhost,9000,priority,weight`.
    ///   - seconds: the time to live of all records.
    /// - Throws: `PeerError` if it does not start.
    public func start(
        hosts: [String: [String]] = [:], services: [String] = [], seconds: Int = 1
    ) throws {
        try stop()
        let names = hosts.flatMap { name, addresses in addresses.map { "\($0) \(name)\n" } }
        try Scratch.write(names.sorted().joined(), to: "\(folder)/hosts")
        let settings = [
            "port=\(port)", "listen-address=\(Self.text(UInt32(bigEndian: host.s_addr)))",
            "bind-interfaces", "no-resolv", "no-hosts",
            "addn-hosts=\(folder)/hosts", "local=/test/", "local-ttl=\(seconds)", "cache-size=0",
            "log-facility=-", "pid-file=", "user=\(NSUserName())",
        ]
        let lines = settings + services.map { "srv-host=\($0)" }
        try Scratch.write(
            lines.joined(separator: "\n") + "\n", to: "\(folder)/dnsmasq.conf")
        let process = try ChildProcess(
            ["dnsmasq", "--keep-in-foreground", "--conf-file=\(folder)/dnsmasq.conf"],
            environment: ["PATH": "/usr/sbin:/usr/bin:/sbin:/bin"])
        try process.waitForLine(containing: "started, version")
        self.process = process
    }

    /// Ends the server: nobody answers at its port.
    public func stop() throws {
        guard let process else { return }
        process.signal(SIGTERM)
        _ = try process.waitForExit()
        self.process = nil
    }

    private static func text(_ host: UInt32) -> String {
        [24, 16, 8, 0].map { String(host >> $0 & 255) }.joined(separator: ".")
    }

    /// A port that is free for UDP and TCP.
    private static func freePort(_ host: in_addr) throws -> UInt16 {
        for _ in 0..<100 {
            let stream = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            let datagram = Glibc.socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
            defer {
                close(stream)
                close(datagram)
            }
            guard let port = bind(stream, host, 0), bind(datagram, host, port) != nil else {
                continue
            }
            return port
        }
        throw PeerError("no port is free for UDP and TCP")
    }

    private static func bind(_ socket: Int32, _ host: in_addr, _ port: UInt16) -> UInt16? {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr = host
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let code = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.bind(socket, $0, length) == 0 ? getsockname(socket, $0, &length) : -1
            }
        }
        return code == 0 ? UInt16(bigEndian: address.sin_port) : nil
    }
}
