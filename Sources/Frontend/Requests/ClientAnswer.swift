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
                // What could be read in two ways is not passed on.
                guard answer.mayHaveBody, let stated = try? BodyFraming(stated: answer) else {
                    self = .none
                    return
                }
                if case .length(let length) = stated {
                    self = .length(length)
                } else {
                    // No length, or one of nothing: a body of no bytes says so as well.
                    self = answer.fields.known.has(.contentLength) ? .length(0) : .none
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
    ///
    /// - Parameters:
    ///   - answer: the upstream's 101, proven.
    ///   - subprotocol: the one that holds, if any; what else the 101 chooses is left out.
    ///   - ownSubprotocol: one that is granted where the 101 chooses none, if any.
    ///   - extensions: those that hold, if any.
    ///   - accept: the accept for the client's key, where the upstream was asked with another.
    ///   - plan: what the route changes in the fields.
    ///   - told: what these fields tell of the request, if anything.
    ///   - sticky: the line of a cookie that brings the client back to the endpoint, if there is one.
    /// - Returns: the bytes of the head.
    static func switching(
        _ answer: ResponseHead, subprotocol: String?, ownSubprotocol: String? = nil,
        extensions: String?, accept: [UInt8]? = nil,
        plan: FieldPlan, told: AnswerTold? = nil, sticky: [UInt8]? = nil
    ) -> [UInt8] {
        var writer = HeadWriter()
        writer.append("HTTP/1.1 101 Switching Protocols\r\n")
        writer.append("Upgrade: websocket\r\nConnection: Upgrade\r\n")
        let fields = answer.fields
        var dropped = notCopied
        if subprotocol == nil { dropped.insert(KnownFields(.secWebSocketProtocol)) }
        if let ownSubprotocol { writer.field("Sec-WebSocket-Protocol", ownSubprotocol) }
        if extensions == nil || fields.hasEmptyList(.secWebSocketExtensions) {
            dropped.insert(KnownFields(.secWebSocketExtensions))
            if let extensions { writer.field("Sec-WebSocket-Extensions", extensions) }
        }
        if let accept {
            dropped.insert(KnownFields(.secWebSocketAccept))
            writer.field("Sec-WebSocket-Accept", accept)
        }
        writer.fields(
            of: fields, fields.connectionOptions, except: dropped, names: plan.dropped)
        plan.write(told, into: &writer)
        if let sticky { writer.append(sticky) }
        writer.end()
        return writer.bytes
    }

    /// Writes an interim answer (1xx) as the client gets it (RFC 9110 §15.2).
    static func writeInterim(_ answer: ResponseHead, into writer: inout HeadWriter) {
        writer.statusLine(of: answer)
        let fields = answer.fields
        writer.fields(
            of: fields, fields.connectionOptions, except: notCopied, names: FieldNames())
        writer.end()
    }

    /// Writes a final answer's head as the client gets it; its body follows in the framing given.
    static func writeFinal(
        _ answer: ResponseHead, _ options: ConnectionOptions, plan: RoutePlan,
        policyLine: [UInt8], framing: Framing, persistence: Persistence, told: AnswerTold? = nil,
        sticky: [UInt8]? = nil, into writer: inout HeadWriter
    ) {
        writer.statusLine(of: answer)
        var dropped = notCopied
        if !policyLine.isEmpty { dropped.insert(KnownFields(.strictTransportSecurity)) }
        // Trailers go on, so what announces them does (RFC 9110 §6.6.2).
        if case .chunked = framing { dropped.remove(KnownFields(.trailer)) }
        writer.fields(of: answer.fields, options, except: dropped, names: plan.answer.dropped)
        switch framing {
        case .length(let length):
            writer.append("Content-Length: ")
            writer.append(length)
            writer.end()
        case .chunked: writer.append("Transfer-Encoding: chunked\r\n")
        case .none, .untilClose: break
        }
        if plan.route.wayTold?.via == false {
            // Nothing is said of it.
        } else if answer.isHTTP11 {
            writer.append("Via: 1.1 sluice\r\n")
        } else {
            writer.append("Via: 1.0 sluice\r\n")
        }
        writer.append(policyLine)
        let isUpgradeRequired = answer.status == 426
        // A server that sends 426 must say to what (RFC 9110 §15.5.22).
        if isUpgradeRequired { writer.append("Upgrade: websocket\r\n") }
        switch (persistence, isUpgradeRequired) {
        case (.usual, false): break
        case (.usual, true): writer.append("Connection: Upgrade\r\n")
        case (.stated, false): writer.append("Connection: keep-alive\r\n")
        case (.stated, true): writer.append("Connection: keep-alive, Upgrade\r\n")
        case (.closes, false): writer.append("Connection: close\r\n")
        case (.closes, true): writer.append("Connection: close, Upgrade\r\n")
        }
        plan.answer.write(told, into: &writer)
        if let sticky { writer.append(sticky) }
        writer.end()
    }

    /// What ends the chunks of an answer's body; its trailers are judged as its fields are.
    static func lastChunk(
        _ trailers: FieldList?, named: ConnectionNames, plan: FieldPlan?
    ) -> [UInt8] {
        guard let trailers, let plan, !trailers.fields.isEmpty else {
            return ChunkWriter.last(trailers: nil)
        }
        return ChunkWriter.last(
            trailers: trailers, except: notCopied, names: plan.dropped, named: named)
    }

    /// What never goes on; the framing is written anew.
    private static let notCopied = KnownFields.hopByHop.union(KnownFields(.contentLength))
}

extension ResponseHead {
    /// Whether an answer of this status has a body, if only one of no bytes (RFC 9110 §6.4.1).
    var mayHaveBody: Bool { status >= 200 && status != 204 && status != 304 }

    /// Whether the upstream keeps the connection, whose options those are (RFC 9112 §9.3).
    func isPersistent(_ options: ConnectionOptions) -> Bool {
        !options.contains(.close) && (isHTTP11 || options.contains(.keepAlive))
    }
}
