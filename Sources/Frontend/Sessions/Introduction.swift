// SPDX-License-Identifier: Apache-2.0
import Reactor
import Splice
import TLS
import Wire

/// The headers of the PROXY protocol in which a proxy says who has connected: read from balancers in
/// front, and written to upstreams.
enum Introduction {
    /// What a new connection to an endpoint of the group begins with; nothing where it says nothing
    /// of the client.
    static func bytes(
        _ version: ProxyHeader.Version?, of stream: ClientStream, client: Address
    ) -> [UInt8] {
        guard let version else { return [] }
        let own = stream.localAddress
        let security = stream.facts.pointee.tls.map { facts in
            ProxyHeader.Security(
                version: "\(facts.version)", cipher: facts.cipherName,
                serverName: facts.serverName, applicationProtocol: facts.applicationProtocol)
        }
        return ProxyHeader.bytes(
            version, from: source(client), to: own.map(source) ?? .none, security: security)
    }

    private static func source(_ address: Address) -> ProxyHeader.Source {
        if let value = address.ipv4 { return .ipv4(value, port: address.port) }
        if let value = address.ipv6 {
            return .ipv6(high: value.high, low: value.low, port: address.port)
        }
        return .none
    }

    /// The address that a header names; `own` where it names none.
    static func address(of source: ProxyHeader.Source, else own: Address) -> Address? {
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
