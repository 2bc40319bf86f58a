// SPDX-License-Identifier: Apache-2.0
import Glibc
import Reactor
import Testing

@testable import Service

/// Who has a port that somebody wants, and which one is free beside it.
struct PortHolderTests {
    /// As proc(5) shows them on a little-endian machine: a listener on 127.0.0.1:8080, one on every
    /// address, a connection.
    private let table = """
          sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
           0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1
           1: 00000000:1F91 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4712 1
           2: 0100007F:1F90 0100007F:D431 01 00000000:00000000 00:00000000 00000000     0        0 4713 1
        """

    @Test func `a socket that a service manager keeps open has a cure of its own`() throws {
        let wanted = try Address(parsing: ":8080")
        let error = SystemError(code: EADDRINUSE, call: "bind", subject: .listening(wanted))
        let sentence = PortHolder.sentence(on: error, own: [try Address(parsing: "127.0.0.1:8080")])
        #expect(sentence.contains("as long as 127.0.0.1:8080 is open"), "\(sentence)")
        #expect(sentence.contains("ListenStream=") && !sentence.contains("stop that program"))
    }

    @Test(arguments: [
        ("127.0.0.1:8080", [UInt64(4711)]), ("127.0.0.2:8080", []), ("0.0.0.0:8080", [4711]),
        (":8080", [4711]), ("127.0.0.1:8081", [4712]), ("[::1]:8081", [4712]),
        ("127.0.0.1:8082", []),
    ])
    func `who stands in the way is found among the listening sockets`(
        address: String, inodes: [UInt64]
    ) throws {
        let found = PortHolder.sockets(
            in: table, isIPv6: false, standingInTheWayOf: try Address(parsing: address))
        #expect(found.map(\.inode) == inodes)
    }

    private final class Door {
        let listener: Listener

        init(isIPv6: Bool) throws {
            listener = try Listener(address: .loopback(port: 0, isIPv6: isIPv6))
        }
    }

    @Test func `each of many sockets is found, in whatever piece of the table it stands`() throws {
        let doors = try (0..<100).map { _ in try Door(isIPv6: false) }
        for door in doors {
            let sentence = PortHolder.sentence(for: door.listener.address)
            #expect(sentence?.contains("(process \(getpid()))") == true, "\(door.listener.address)")
        }
    }

    @Test func `of a unix socket the process is named, and no port`() throws {
        let path = "/tmp/sluice-holder-\(UInt32.random(in: 0...(.max)))"
        let address = try Address(parsing: "unix:\(path)")
        let listener = try Listener(address: address)
        defer { listener.removeFile() }
        let error = #expect(throws: SystemError.self) { _ = try Listener(address: address) }
        let sentence = PortHolder.sentence(on: try #require(error))
        #expect(sentence.hasPrefix("bind unix:\(path): Address already in use by "), "\(sentence)")
        #expect(
            sentence.hasSuffix(
                " (process \(getpid())); another program listens there: stop that one, or choose another"
                    + " path"), "\(sentence)")
    }

    @Test(arguments: [false, true])
    func `our own socket is found with our process`(isIPv6: Bool) throws {
        guard let listener = try? Listener(address: .loopback(port: 0, isIPv6: isIPv6)) else {
            try #require(isIPv6, "every machine has 127.0.0.1")
            return
        }
        let sentence = try #require(PortHolder.sentence(for: listener.address))
        #expect(sentence.contains("(process \(getpid()))"))
        let free = try #require(FreePort.after(listener.address))
        #expect(free > listener.address.port)
    }
}
