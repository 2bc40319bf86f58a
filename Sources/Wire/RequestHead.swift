// SPDX-License-Identifier: Apache-2.0

/// The head of a request: all that stands before its body.
///
/// It is lawful by RFC 9112 as strictly read; what an upgrade needs beyond that,
/// `UpgradeRequest.judge` looks at.
public struct RequestHead: Sendable {
    /// The method, letters as sent (methods are case-sensitive).
    public let method: String
    /// The target as sent: visible ASCII without `#`.
    public let target: ArraySlice<UInt8>
    /// Whether the request is HTTP/1.1; otherwise it is HTTP/1.0.
    public let isHTTP11: Bool
    /// The fields.
    public let fields: FieldList
}
