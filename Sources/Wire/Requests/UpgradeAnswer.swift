// SPDX-License-Identifier: Apache-2.0

/// The upstream's half of the opening handshake: what its answer means (RFC 6455 §4.1).
public enum UpgradeAnswer {
    /// What the upstream said.
    public enum Verdict: Sendable, Equatable {
        /// A proven 101: frames follow, with these RSV bits allowed.
        case switching(reservedBits: UInt8, subprotocol: String?, extensions: String?)
        /// An ordinary response, whose body ends as the framing says.
        case ordinary(BodyFraming)
        /// An interim response (1xx): another head follows.
        case informational
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
        guard head.isHTTP11 else { return .invalid("The 101 is not HTTP/1.1.") }
        guard let upgrade = fields.only(.upgrade),
            Bytes.areEqual(fields.bytes.span, upgrade.value, ignoringCase: "websocket")
        else {
            return .invalid("The 101 does not have exactly 'Upgrade: websocket'.")
        }
        guard fields.connectionOptions.contains(.upgrade) else {
            return .invalid("The 101 does not have 'Connection: Upgrade'.")
        }
        guard let accept = fields.only(.secWebSocketAccept),
            fields.isEqual(accept.value, to: expectedAccept)
        else {
            return .invalid(
                "The 101 does not have the Sec-WebSocket-Accept that belongs to the key.")
        }
        // A 101 has no body (RFC 9110 §15.2); one that claims to have is read in two ways.
        guard fields.saysNoBody else { return .invalid("The 101 claims to have a body.") }
        if fields.known.has(.secWebSocketProtocol) {
            guard let granted = fields.only(.secWebSocketProtocol),
                isOffered(fields.value(of: granted), by: offered)
            else {
                return .invalid("The 101 chooses a subprotocol that was not offered.")
            }
        }
        guard let extensions = ExtensionList.names(fields) else {
            return .invalid("The 101's Sec-WebSocket-Extensions is not a list of extensions.")
        }
        guard extensions.allSatisfy(offered.extensions.contains),
            Set(extensions).count == extensions.count
        else {
            return .invalid("The 101 grants an extension that was not offered.")
        }
        return .switching(
            reservedBits: reservedBits(extensions),
            subprotocol: fields.only(.secWebSocketProtocol).map {
                String(decoding: fields.value(of: $0), as: UTF8.self)
            },
            extensions: joined(fields.all("sec-websocket-extensions")))
    }

    private static func isOffered(
        _ granted: ArraySlice<UInt8>, by offered: UpgradeRequest
    ) -> Bool {
        offered.head.fields.all("sec-websocket-protocol").contains { list in
            list.split(separator: Octet.comma).contains { $0.trimmed() == granted }
        } && !granted.isEmpty
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

    private static func joined(_ values: [ArraySlice<UInt8>]) -> String? {
        values.isEmpty
            ? nil
            : values.map { String(decoding: $0, as: UTF8.self) }.joined(separator: ", ")
    }
}
