// SPDX-License-Identifier: Apache-2.0

/// The upstream's half of the opening handshake: what its answer means (RFC 6455 §4.1).
public enum UpgradeAnswer {
    /// What the upstream said.
    public enum Verdict: Sendable, Equatable {
        /// A proven 101: frames follow, with these RSV bits allowed.
        ///
        /// Subprotocol and extensions are those that hold, nil for none. `remark` says what is wrong
        /// with a subprotocol that the 101 has and the client must not get.
        case switching(
            reservedBits: UInt8, subprotocol: String?, extensions: String?, remark: String? = nil)
        /// An ordinary response, whose body ends as the framing says.
        case ordinary(BodyFraming)
        /// An interim response (1xx): another head follows.
        case informational
        /// A 101 that proves no tunnel; the sentence says why.
        case unproven(String)
        /// An answer that must not be passed on; the sentence says why.
        case invalid(String)
    }

    /// Judges an answer to `offered`, to whose key `expectedAccept` (28 bytes) belongs.
    public static func judge(
        _ head: ResponseHead, expectedAccept: [UInt8], offered: UpgradeRequest
    ) -> Verdict {
        if head.status == 101 {
            return judgeSwitching(head, expectedAccept: expectedAccept, offered: offered)
        }
        if head.status < 200 { return .informational }
        do throws(HeadFault) {
            return .ordinary(try BodyFraming(response: head))
        } catch {
            return .invalid(error.sentence)
        }
    }

    private static func judgeSwitching(
        _ head: ResponseHead, expectedAccept: [UInt8], offered: UpgradeRequest
    ) -> Verdict {
        let fields = head.fields
        guard head.isHTTP11 else { return .unproven("The 101 is not HTTP/1.1.") }
        guard fields.namesOnlyWebSocket else {
            return .unproven("The 101 does not have exactly 'Upgrade: websocket'.")
        }
        guard fields.connectionOptions.contains(.upgrade) else {
            return .unproven("The 101 does not have 'Connection: Upgrade'.")
        }
        guard let accept = fields.only(.secWebSocketAccept),
            fields.isEqual(accept.value, to: expectedAccept)
        else {
            return .unproven(
                "The 101 does not have the Sec-WebSocket-Accept that belongs to the key.")
        }
        // A 101 ends with its head whatever its fields say of a body (RFC 9112 §6.3).
        let granted = ExtensionList(fields)
        guard !granted.hasFault else {
            return .unproven("The 101's Sec-WebSocket-Extensions is not a list of extensions.")
        }
        // Sets, since the peers choose how many are offered and how many granted.
        let names = Set(granted.names)
        guard names.count == granted.names.count, names.isSubset(of: offered.extensions) else {
            return .unproven("The 101 grants an extension that was not offered.")
        }
        let (subprotocol, remark) = subprotocol(fields, offered)
        return .switching(
            reservedBits: reservedBits(granted.names), subprotocol: subprotocol,
            extensions: granted.names.isEmpty
                ? nil : String(decoding: granted.text(of: fields), as: UTF8.self),
            remark: remark)
    }

    /// The subprotocol that the 101 chooses, if it is one that was offered (RFC 6455 §4.2.2); else what
    /// is wrong with it.
    private static func subprotocol(
        _ fields: FieldList, _ offered: UpgradeRequest
    ) -> (granted: String?, remark: String?) {
        guard fields.known.has(.secWebSocketProtocol) else { return (nil, nil) }
        guard let field = fields.only(.secWebSocketProtocol) else {
            return (nil, "its 101 has more than one Sec-WebSocket-Protocol")
        }
        let value = fields.value(of: field)
        if value.isEmpty { return (nil, "the Sec-WebSocket-Protocol of its 101 is empty") }
        var hasOffers = false
        for list in offered.head.fields.all("sec-websocket-protocol") {
            for offer in list.split(separator: Octet.comma).map({ $0.trimmed() })
            where !offer.isEmpty {
                hasOffers = true
                if offer == value { return (String(decoding: value, as: UTF8.self), nil) }
            }
        }
        let shown = value.prefix(64).map { Octet.isToken($0) ? $0 : UInt8(ascii: "?") }
        let name = String(decoding: shown, as: UTF8.self)
        let why = hasOffers ? "which the client did not offer" : "though the client offered none"
        return (nil, "its 101 chooses the subprotocol '\(name)', \(why)")
    }

    /// The RSV bits that the granted extensions may set.
    ///
    /// permessage-deflate and its older kin use RSV1. Of an extension that is not known here
    /// it cannot be told which bits it uses, so all are allowed.
    private static func reservedBits(_ extensions: [String]) -> UInt8 {
        var bits: UInt8 = 0
        for name in extensions {
            bits |= name == "permessage-deflate" ? 0x40 : 0x70
        }
        return bits
    }
}
