// SPDX-License-Identifier: Apache-2.0
import Glibc
import Testing

@testable import Reactor

/// What an error code says of this machine, and what of the peer.
struct ShortageTests {
    private static let peer = Address.loopback(port: 9)
    private static let file = Address(unixPath: "/nowhere")

    @Test(arguments: [
        (EMFILE, Shortage.descriptors), (ENFILE, .systemDescriptors), (ENOMEM, .memory),
        (ENOBUFS, .memory), (ECONNREFUSED, nil), (ETIMEDOUT, nil), (EHOSTUNREACH, nil), (0, nil),
    ])
    func `what has run out is told from its code`(code: Int32, shortage: Shortage?) {
        #expect(Shortage(code) == shortage)
        #expect(Shortage(code, connectingTo: Self.peer, hasSource: false) == shortage)
        #expect(Shortage(code, connectingTo: Self.file, hasSource: false) == shortage)
    }

    @Test func `a code of connect(2) means what the way there makes of it`() {
        #expect(Shortage(EAGAIN, connectingTo: Self.file, hasSource: false) == .backlog)
        #expect(Shortage(EADDRNOTAVAIL, connectingTo: Self.peer, hasSource: false) == .ports)
        #expect(Shortage(EADDRNOTAVAIL, connectingTo: Self.peer, hasSource: true) == .ports)
        #expect(Shortage(ENOENT, connectingTo: Self.file, hasSource: false) == nil)
    }

    @Test func `a socket comes from the address that it is told, by a port that connect chooses`()
        throws
    {
        let listener = try Listener(address: .loopback(port: 0))
        let source = Address.ipv4(127, 0, 0, 7, port: 0)
        let socket = try Socket.dialing(listener.address, from: source)
        #expect(socket.localAddress?.port == 0)
        _ = socket.connect(to: listener.address)
        #expect(socket.localAddress?.hostString == "127.0.0.7")
        #expect(socket.localAddress?.port != 0)
    }

    @Test func `an address of another machine is none to come from`() {
        let other = Address.ipv4(192, 0, 2, 1, port: 0)
        #expect(Socket.fault(ofSource: other) != nil)
        #expect(Socket.fault(ofSource: .loopback(port: 0)) == nil)
        #expect(throws: DialFault.shortage(.source)) {
            _ = try Socket.dialing(Self.peer, from: other)
        }
    }

    @Test(arguments: Shortage.allCases)
    func `each has a reason and a cure in words`(shortage: Shortage) {
        #expect(shortage.reason.split(separator: " ").count > 2 && !shortage.reason.hasSuffix("."))
        #expect(shortage.cure.hasSuffix(".") && shortage.advice.hasSuffix("."))
    }

    @Test(arguments: [
        (-5, 0, 0), (0, 0, 0), (30, 10, 1), (300, 100, 18), (1_000, 160, 62),
        (1_000_000, 160, 512),
    ])
    func `few descriptors are shared out, and of plenty no more is kept than is needed`(
        left: Int, own: Int, dialing: Int
    ) {
        let reserve = OpenFiles.Reserve(left: left)
        #expect(reserve.own == own && reserve.dialing == dialing)
        // Most is the clients'.
        #expect(reserve.own + reserve.dialing <= max(0, left) / 2)
    }
}
