// SPDX-License-Identifier: Apache-2.0

import Echo
import Reactor
import TestKit
import Testing

/// The echo app on a port of its own.
struct EchoApp {
    let server: EchoServer

    init() throws {
        server = try EchoServer.start(listening: ["127.0.0.1:0"])
    }

    var address: PeerAddress { .tcp(server.addresses.first?.port ?? 0) }

    func connect(receiveBufferBytes: Int32? = nil) throws -> WebSocketPeer {
        try WebSocketPeer.connect(to: address, receiveBufferBytes: receiveBufferBytes)
    }

    /// A client whose opening handshake is done.
    func open(receiveBufferBytes: Int32? = nil) throws -> WebSocketPeer {
        let client = try connect(receiveBufferBytes: receiveBufferBytes)
        try client.open()
        return client
    }
}

/// Bytes that repeat only after 251 of them, so that a shift shows.
func pattern(_ count: Int) -> [UInt8] {
    (0..<count).map { UInt8($0 % 251) }
}
