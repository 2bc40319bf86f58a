// SPDX-License-Identifier: Apache-2.0
import Reactor

/// A client as people name it in commands: its address, with the port that it connected from or without.
public struct ClientName: Sendable, Equatable {
    /// The address, as relays have it.
    public let host: String
    /// The port; nil for any.
    public let port: UInt16?

    /// Reads `192.0.2.7`, `192.0.2.7:4711`, `2001:db8::7` or `[2001:db8::7]:4711`; nil for what is no address.
    public init?(_ text: String) {
        // An address alone has no port, and brackets only where it is IPv6.
        for whole in [text, "\(text):0", "[\(text)]:0"] {
            if let address = try? Address(parsing: whole), !address.isUnix, !address.isWildcard {
                host = address.hostString
                port = address.port == 0 ? nil : address.port
                return
            }
        }
        return nil
    }

    /// What a client's name looks like.
    public static let allowed = "an address, as 192.0.2.7, 192.0.2.7:4711 or 2001:db8::7"

    /// Whether the client at this address is meant.
    func takes(_ client: Address) -> Bool {
        host == client.hostString && (port == nil || port == client.port)
    }
}
