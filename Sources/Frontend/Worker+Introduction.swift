// SPDX-License-Identifier: Apache-2.0
import Reactor
import Splice
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
            notes.client = client
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
