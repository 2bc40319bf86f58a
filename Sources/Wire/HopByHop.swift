// SPDX-License-Identifier: Apache-2.0

/// The fields that hold for one hop and are never forwarded (RFC 9110 §7.6.1).
///
/// `Connection` may name further ones: `FieldList.connectionOptions`.
public enum HopByHop {
    /// The names in lower case.
    ///
    /// `Upgrade` and `Connection` are among them: a proxy that forwards an upgrade writes its
    /// own. `HTTP2-Settings` belongs to an upgrade to h2c, which is never forwarded.
    public static let names: [String] = [
        "connection", "http2-settings", "keep-alive", "proxy-authenticate", "proxy-authorization",
        "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
    ]

    /// Whether a name, given in lower case, is one of them.
    public static func isHopByHop(_ name: String) -> Bool {
        names.contains(name)
    }

    /// Whether a name as it was received is one of them.
    public static func isHopByHop(_ name: ArraySlice<UInt8>) -> Bool {
        names.contains { $0.utf8.count == name.count && name.equalsIgnoringCase($0) }
    }
}
