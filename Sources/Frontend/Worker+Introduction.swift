// SPDX-License-Identifier: Apache-2.0
import Reactor
import Splice
import TLS
import Wire

extension Worker {
    /// Reads who has connected, where a load balancer says so.
    ///
    /// The bytes are looked at before they are taken, so that what stands behind the header stays
    /// where the next reader finds it.
    ///
    /// - Returns: whether the connection may go on now.
    mutating func takeIntroduction(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ opening: Opening
    ) -> Bool {
        let notes = connection.pointee.notes
        let (bytes, result) = connection.pointee.relay.client.socket.peek(ProxyHeader.byteCountMax)
        switch result {
        case .blocked:
            connection.pointee.relay.client.isReadable = false
            return false
        case .ended, .failed:
            finish(token)
            return false
        case .moved: break
        }
        switch ProxyHeader.read(bytes) {
        case .needsMore:
            // The next bytes make another event.
            connection.pointee.relay.client.isReadable = false
            if connection.pointee.relay.client.isHangingUp { finish(token) }
            return false
        case .failed(let reason):
            notes.detail = "no header of the PROXY protocol: \(reason)"
            finish(token)
            return false
        case .complete(let length, let source):
            guard let client = address(of: source, else: notes.client) else {
                notes.detail = "no header of the PROXY protocol: its address is none"
                finish(token)
                return false
            }
            notes.peer = client
            guard admitClient(notes) else {
                finish(token)
                return false
            }
            _ = connection.pointee.relay.client.socket.receive(
                into: space.pointee.received, count: length)
            opening.phase = .sniffing
            return true
        }
    }

    /// What a new connection to an endpoint of the group begins with; nothing where it says nothing
    /// of the client.
    func introduction(
        _ connection: UnsafeMutablePointer<Connection>, _ group: EndpointGroup?
    ) -> [UInt8] {
        guard let version = group?.introduction else { return [] }
        let notes = connection.pointee.notes
        let own = connection.pointee.relay.client.socket.localAddress
        let security = notes.tls.map { facts in
            ProxyHeader.Security(
                version: "\(facts.version)", cipher: facts.cipherName,
                serverName: facts.serverName, applicationProtocol: facts.applicationProtocol)
        }
        return ProxyHeader.bytes(
            version, from: Self.source(notes.client), to: own.map(Self.source) ?? .none,
            security: security)
    }

    private static func source(_ address: Address) -> ProxyHeader.Source {
        if let value = address.ipv4 { return .ipv4(value, port: address.port) }
        if let value = address.ipv6 {
            return .ipv6(high: value.high, low: value.low, port: address.port)
        }
        return .none
    }

    private func address(of source: ProxyHeader.Source, else own: Address) -> Address? {
        switch source {
        case .none: own
        case .text(let host, let port): Address(host: host, port: port)
        case .ipv4(let value, let port):
            .ipv4(
                UInt8(truncatingIfNeeded: value >> 24), UInt8(truncatingIfNeeded: value >> 16),
                UInt8(truncatingIfNeeded: value >> 8), UInt8(truncatingIfNeeded: value), port: port)
        case .ipv6(let high, let low, let port): .ipv6(high: high, low: low, port: port)
        }
    }
}
