// SPDX-License-Identifier: Apache-2.0
import Reactor
import Wire

/// The heads that Sluice writes: to the upstream, and of the upstream's answer to the client.
///
/// Always made anew from the parsed form; nothing of a head is copied through unread.
enum UpstreamRequest {
    /// Fields that are Sluice's to set: a client's own, and whatever an application could take for
    /// them, are dropped.
    private static let ours: [StaticString] = [
        "forwarded", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host",
        "x-forwarded-port", "x-forwarded-ssl", "x-forwarded-scheme", "x-real-ip", "host",
        "connection", "upgrade", "content-length", "transfer-encoding", "http2-settings",
    ]

    /// The opening handshake as the upstream gets it.
    ///
    /// - Parameters:
    ///   - request: the client's, judged.
    ///   - path: the canonical path, rewritten if the route says so.
    ///   - client: who connected.
    ///   - port: the port that the client connected to.
    ///   - isSecure: whether it came by TLS.
    /// - Returns: the bytes of the head.
    static func bytes(
        of request: UpgradeRequest, path: [UInt8], client: Address, port: UInt16, isSecure: Bool
    ) -> [UInt8] {
        var target = path
        if let query = request.target.query {
            target.append(UInt8(ascii: "?"))
            target += query
        }
        var writer = HeadWriter()
        writer.requestLine("GET", target: target)
        writer.field("Host", request.authority)
        writer.field("Upgrade", "websocket")
        writer.field("Connection", "Upgrade")
        let fields = request.head.fields
        let options = fields.connectionOptions
        for field in fields.fields {
            let name = fields.name(of: field)
            if HopByHop.isHopByHop(name) || isOurs(name) || isNamed(name, in: options) { continue }
            writer.field(name, fields.value(of: field))
        }
        let proto = isSecure ? "https" : "http"
        let address = client.isUnix ? "unix:" : client.hostString
        writer.field("X-Forwarded-For", address)
        writer.field("X-Forwarded-Proto", proto)
        writer.field("X-Forwarded-Host", request.authority)
        writer.field("X-Forwarded-Port", String(request.host.port ?? port))
        var forwarded = Array("for=".utf8)
        forwarded += forwardedNode(client, address).utf8
        forwarded += ";host=\"".utf8
        forwarded += request.authority
        forwarded += "\";proto=".utf8
        forwarded += proto.utf8
        writer.field("Forwarded", forwarded)
        writer.end()
        return writer.bytes
    }

    /// Whether a name is one of ours, or would be to an application that folds `_` and `.`.
    private static func isOurs(_ name: ArraySlice<UInt8>) -> Bool {
        name.withUnsafeBufferPointer { bytes in
            for known in ours where known.utf8CodeUnitCount == bytes.count {
                let isSame = bytes.indices.allSatisfy { index in
                    folded(bytes[index]) == known.utf8Start[index]
                }
                if isSame { return true }
            }
            return false
        }
    }

    private static func folded(_ byte: UInt8) -> UInt8 {
        switch byte {
        case UInt8(ascii: "_"), UInt8(ascii: "."): UInt8(ascii: "-")
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): byte | 0x20
        default: byte
        }
    }

    /// Whether the message's own `Connection` field names that field (RFC 9110 §7.6.1).
    ///
    /// What was judged is not removed by being named there: the upstream has to see the same
    /// handshake, and the same `Origin`.
    private static func isNamed(_ name: ArraySlice<UInt8>, in options: [String]) -> Bool {
        // Usually it is `Upgrade` alone, which is hop-by-hop anyway.
        if options.isEmpty || options == ["upgrade"] { return false }
        let lowercase = String(decoding: name, as: UTF8.self).lowercased()
        if lowercase == "origin" || lowercase.hasPrefix("sec-websocket-") { return false }
        return options.contains(lowercase)
    }

    /// The client as a node identifier (RFC 7239 §6).
    private static func forwardedNode(_ client: Address, _ address: String) -> String {
        if client.isUnix { return "_unix" }
        return client.isIPv6 ? "\"[\(address)]\"" : address
    }

    /// The 101 as the client gets it.
    static func switching(_ answer: ResponseHead) -> [UInt8] {
        var writer = HeadWriter()
        writer.statusLine(101)
        writer.field("Upgrade", "websocket")
        writer.field("Connection", "Upgrade")
        copyEndToEnd(answer, into: &writer, keepsFraming: false)
        writer.end()
        return writer.bytes
    }

    /// An ordinary answer's head as the client gets it; its body follows as it comes.
    static func ordinary(_ answer: ResponseHead) -> [UInt8] {
        var writer = HeadWriter()
        writer.statusLine(answer.status, reason: answer.reason)
        copyEndToEnd(answer, into: &writer, keepsFraming: true)
        if answer.status == 426 {
            // A server that sends 426 must say to what (RFC 9110 §15.5.22).
            writer.field("Upgrade", "websocket")
            writer.field("Connection", "close, Upgrade")
        } else {
            writer.field("Connection", "close")
        }
        writer.end()
        return writer.bytes
    }

    private static func copyEndToEnd(
        _ answer: ResponseHead, into writer: inout HeadWriter, keepsFraming: Bool
    ) {
        let fields = answer.fields
        let options = fields.connectionOptions
        for field in fields.fields {
            let name = fields.name(of: field)
            let isFraming =
                fields.isNamed(field, "transfer-encoding")
                || fields.isNamed(field, "content-length")
            if isFraming ? !keepsFraming : HopByHop.isHopByHop(name) { continue }
            if !isFraming && isNamed(name, in: options) { continue }
            writer.field(name, fields.value(of: field))
        }
    }
}
