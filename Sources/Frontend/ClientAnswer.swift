// SPDX-License-Identifier: Apache-2.0
import Wire

/// The heads of an upstream's answers as the client gets them.
///
/// Made anew from the parsed form, as requests are: nothing of a head is copied through unread.
enum ClientAnswer {
    /// What becomes of the connection behind an answer.
    enum Persistence {
        /// Another request may follow, as is usual in HTTP/1.1.
        case usual
        /// Another request may follow, which an HTTP/1.0 client has asked for.
        case stated
        /// The connection closes.
        case closes
    }

    /// How the body goes on, as the head has to say.
    enum Framing {
        /// There is no body, nor a length of one.
        case none
        /// The body has so many bytes; or would have, had the method not been HEAD.
        case length(UInt64)
        /// The body comes in chunks.
        case chunked
        /// The body ends with the connection.
        case untilClose

        /// How a body of this framing goes on.
        ///
        /// In chunks, where `writesChunks`, if its length is not known in advance. In answer to a HEAD
        /// the length is that of a body which stays away.
        init(_ framing: BodyFraming, of answer: ResponseHead, writesChunks: Bool, isToHead: Bool) {
            if isToHead {
                let stated = try? BodyFraming(response: answer)
                if case .length(let length) = stated {
                    self = .length(length)
                } else {
                    // No length, or one of nothing: a body of no bytes says so as well.
                    let hasLength = answer.fields.count(of: "content-length") > 0
                    self = hasLength && answer.mayHaveBody ? .length(0) : .none
                }
                return
            }
            switch framing {
            case .none: self = answer.mayHaveBody ? .length(0) : .none
            case .length(let length): self = .length(length)
            case .chunked, .untilClose: self = writesChunks ? .chunked : .untilClose
            }
        }
    }

    /// The 101 as the client gets it.
    static func switching(_ answer: ResponseHead, edits: FieldEdits) -> [UInt8] {
        var writer = HeadWriter()
        writer.statusLine(101)
        writer.field("Upgrade", "websocket")
        writer.field("Connection", "Upgrade")
        copyEndToEnd(answer, edits, hop: nil, into: &writer)
        UpstreamRequest.write(edits, into: &writer)
        writer.end()
        return writer.bytes
    }

    /// An interim answer (1xx) as the client gets it (RFC 9110 §15.2).
    static func interim(_ answer: ResponseHead) -> [UInt8] {
        var writer = HeadWriter()
        writer.statusLine(answer.status, reason: answer.reason)
        copyEndToEnd(answer, FieldEdits(), hop: nil, into: &writer)
        writer.end()
        return writer.bytes
    }

    /// A final answer's head as the client gets it; its body follows in the framing given.
    static func final(
        _ answer: ResponseHead, edits: FieldEdits, hop: Hop, framing: Framing,
        persistence: Persistence
    ) -> [UInt8] {
        var writer = HeadWriter()
        writer.statusLine(answer.status, reason: answer.reason)
        copyEndToEnd(answer, edits, hop: hop, into: &writer)
        switch framing {
        case .length(let length): writer.field("Content-Length", String(length))
        case .chunked: writer.field("Transfer-Encoding", "chunked")
        case .none, .untilClose: break
        }
        writer.field("Via", answer.isHTTP11 ? "1.1 sluice" : "1.0 sluice")
        if let policy = hop.strictTransportSecurity {
            writer.field("Strict-Transport-Security", policy)
        }
        let isUpgradeRequired = answer.status == 426
        // A server that sends 426 must say to what (RFC 9110 §15.5.22).
        if isUpgradeRequired { writer.field("Upgrade", "websocket") }
        switch persistence {
        case .usual: if isUpgradeRequired { writer.field("Connection", "Upgrade") }
        case .stated:
            writer.field("Connection", isUpgradeRequired ? "keep-alive, Upgrade" : "keep-alive")
        case .closes: writer.field("Connection", isUpgradeRequired ? "close, Upgrade" : "close")
        }
        UpstreamRequest.write(edits, into: &writer)
        writer.end()
        return writer.bytes
    }

    /// Copies what holds from end to end; the framing is never copied but written anew.
    private static func copyEndToEnd(
        _ answer: ResponseHead, _ edits: FieldEdits, hop: Hop?, into writer: inout HeadWriter
    ) {
        let fields = answer.fields
        let options = fields.connectionOptions
        for field in fields.fields {
            let name = fields.name(of: field)
            if HopByHop.isHopByHop(name) || fields.isNamed(field, "content-length") { continue }
            if UpstreamRequest.isNamed(name, in: options) || edits.drops(name) { continue }
            if hop?.strictTransportSecurity != nil
                && fields.isNamed(field, "strict-transport-security")
            {
                continue
            }
            writer.field(name, fields.value(of: field))
        }
    }
}

extension ResponseHead {
    /// Whether an answer of this status has a body, if only one of no bytes (RFC 9110 §6.4.1).
    var mayHaveBody: Bool { status >= 200 && status != 204 && status != 304 }

    /// Whether the upstream keeps the connection (RFC 9112 §9.3).
    var isPersistent: Bool {
        let options = fields.connectionOptions
        if options.contains("close") { return false }
        return isHTTP11 || options.contains("keep-alive")
    }
}
