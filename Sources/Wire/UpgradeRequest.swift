// SPDX-License-Identifier: Apache-2.0

/// The client's half of the opening handshake, proven complete (RFC 6455 §4.2.1).
///
/// A value of this type exists only for a request that may be forwarded as an upgrade.
public struct UpgradeRequest: Sendable {
    /// The host that the request is for, in the form that is compared; its name is empty where the
    /// request names none.
    public let host: HostName
    /// The `Host` field as sent; empty where it is.
    public let authority: [UInt8]
    /// The path and query.
    public let target: RequestTarget
    /// The `Sec-WebSocket-Key` as sent: 24 characters of base64.
    public let key: [UInt8]
    /// The `Origin` field as sent, if there is one.
    public let origin: [UInt8]?
    /// Whether permessage-deflate is among the extensions offered.
    public let offersDeflate: Bool
    /// The head that all this was read from.
    public let head: RequestHead

    /// The extensions offered, in lower case.
    let extensions: [String]

    /// Reads the handshake out of a head, or says why it is none.
    public static func judge(_ head: RequestHead) throws(UpgradeFault) -> UpgradeRequest {
        let fields = head.fields
        // Host and target first: they must be sound whatever the request is for.
        let authority = try authority(of: head)
        let host: HostName
        let target: RequestTarget
        do throws(HeadFault) {
            // An empty one is lawful where the URL has no host (RFC 9110 §7.2).
            host = try authority.isEmpty ? .nameless : HostName(parsing: authority)
            target = try RequestTarget(parsing: head.target)
            if let other = target.authority, try HostName(parsing: other[...]) != host {
                throw .bad("The URL in the request line names another host than Host does.")
            }
        } catch {
            throw UpgradeFault(error)
        }
        try checkIntent(head)
        let key = try checkHandshake(fields)
        guard !fields.repeated.has(.origin) else {
            throw .malformed("There is more than one Origin.")
        }
        guard let extensions = ExtensionList.names(fields) else {
            throw .malformed("Sec-WebSocket-Extensions is not a list of extensions.")
        }
        return UpgradeRequest(
            host: host, authority: Array(authority), target: target, key: Array(key),
            origin: fields.only(.origin).map { Array(fields.value(of: $0)) },
            offersDeflate: extensions.contains("permessage-deflate"), head: head,
            extensions: extensions)
    }

    private static func authority(
        of head: RequestHead
    ) throws(UpgradeFault) -> ArraySlice<UInt8> {
        guard head.fields.known.has(.host) else { throw .malformed("There is no Host field.") }
        guard let field = head.fields.only(.host) else {
            throw .malformed("There is more than one Host field.")
        }
        return head.fields.value(of: field)
    }

    /// Whether the request asks for a WebSocket at all, and as a bare HTTP/1.1 GET.
    private static func checkIntent(_ head: RequestHead) throws(UpgradeFault) {
        let fields = head.fields
        guard fields.upgradesToWebSocket else {
            throw UpgradeFault(
                status: 426, sentence: "This address speaks WebSocket; the request asks for none.",
                kind: .notAnUpgrade)
        }
        guard head.verb == .get else {
            throw UpgradeFault(
                status: 400, sentence: "A WebSocket is asked for with GET only.", kind: .badMethod)
        }
        guard head.isHTTP11 else {
            throw .malformed("A WebSocket is asked for in HTTP/1.1, not HTTP/1.0.")
        }
        guard fields.saysNoBody else { throw .malformed("A request for a WebSocket has no body.") }
    }

    /// The fields that belong to the handshake alone; returns the key.
    private static func checkHandshake(
        _ fields: FieldList
    ) throws(UpgradeFault) -> ArraySlice<UInt8> {
        guard fields.connectionOptions.contains(.upgrade) else {
            throw .malformed("The Connection field does not contain 'upgrade'.")
        }
        guard let version = fields.only(.secWebSocketVersion),
            fields.value(of: version).elementsEqual("13".utf8)
        else {
            throw UpgradeFault(
                status: 426, sentence: "Sec-WebSocket-Version is not 13, the only one supported.",
                kind: .wrongVersion)
        }
        guard let field = fields.only(.secWebSocketKey) else {
            throw .malformed("There is not exactly one Sec-WebSocket-Key.")
        }
        let key = fields.value(of: field)
        guard isKey(key) else {
            throw .malformed("The Sec-WebSocket-Key is not 16 bytes in base64.")
        }
        return key
    }

    /// 22 characters of base64 and two of padding are 16 bytes.
    private static func isKey(_ key: ArraySlice<UInt8>) -> Bool {
        key.count == 24 && key.suffix(2).elementsEqual("==".utf8)
            && key.dropLast(2).allSatisfy {
                Octet.isDigit($0) || Octet.lowercased($0) &- 0x61 < 26
                    || $0 == UInt8(ascii: "+") || $0 == Octet.slash
            }
    }
}
