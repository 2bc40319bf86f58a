// SPDX-License-Identifier: Apache-2.0
import HTTP2
import Reactor
import TLS
import Wire

/// Connections that carry WebSockets as streams of HTTP/2 (RFC 8441).
///
/// What the streams of one connection have to send after one read leaves in one piece, as a browser has
/// it; windows are as wide as a browser's.
extension LoadLoop {
    /// Bytes that are produced and sealed in one piece.
    static let producedBytes = 64 * 1024

    // MARK: Opening

    /// TLS is there: HTTP/2 begins, with our preface and SETTINGS.
    mutating func greet(_ client: ClientPointer, _ token: Token) -> Bool {
        guard client.pointee.tls?.facts()?.isHTTP2 == true else {
            return fail(client, token, .http2, "the server did not agree on HTTP/2 (ALPN h2)")
        }
        client.pointee.isCarrier = true
        client.pointee.http2 = HTTP2Client(streamMemory)
        client.pointee.phase = .greeting
        return flushCarrier(client, token)
    }

    /// The server's SETTINGS are there; false when the connection is gone.
    private mutating func greeted(_ client: ClientPointer, _ token: Token) -> Bool {
        guard client.pointee.phase == .greeting, let http2 = client.pointee.http2,
            let wanted = plan.streams
        else { return true }
        guard http2.allowsExtendedConnect else {
            return fail(
                client, token, .http2, "the server does not offer extended CONNECT (RFC 8441)")
        }
        guard http2.streamsMax >= wanted else {
            return fail(
                client, token, .http2,
                "the server allows \(http2.streamsMax) streams on a connection, not \(wanted)")
        }
        client.pointee.phase = .carrying
        openingCount -= 1
        carrierCount += 1
        loop.timers.cancel(token)
        carriers.append(token)
        settleLater(token)
        // Streams that come and go do so when traffic begins.
        return kind == .cycle || openStreams(wanted, on: client, token)
    }

    /// Opens so many streams; false when the connection is gone.
    mutating func openStreams(
        _ count: Int, on carrier: ClientPointer, _ carrierToken: Token
    ) -> Bool {
        for _ in 0..<count {
            guard
                let token = slab.insert(
                    LoadClient(socket: .none(), number: streamNumber, startedAt: now)),
                let client = slab.pointer(token)
            else {
                meter.pointee.note(.system, "no room for another stream")
                return true
            }
            streamNumber += 1
            client.pointee.carrier = carrierToken
            client.pointee.phase = .upgrading
            openingCount += 1
            carrier.pointee.streamCount += 1
            loop.timers.reserve(index: Int(token.index))
            loop.timers.arm(token, at: now / 1_000_000 + UInt64(plan.openingSeconds * 1000))
            let id = carrier.pointee.http2?.open(
                streamFields, tag: token.rawValue, hasBody: true)
            guard let id else {
                return fail(carrier, carrierToken, .http2, "no stream can be opened any more")
            }
            client.pointee.streamID = id
        }
        markDirty(carrier, carrierToken)
        return true
    }

    // MARK: What has come

    /// Takes bytes that were opened on a carrier; false when the connection is gone.
    mutating func takeCarried(
        _ bytes: UnsafeMutablePointer<UInt8>, count: Int, _ client: ClientPointer, _ token: Token
    ) -> Bool {
        client.pointee.http2?.receive(UnsafeMutableRawBufferPointer(start: bytes, count: count))
        return takeEvents(client, token)
    }

    /// Does what has come of reading or producing; false when the connection is gone.
    private mutating func takeEvents(_ client: ClientPointer, _ token: Token) -> Bool {
        while let event = client.pointee.http2?.nextEvent() {
            switch event {
            case .settings:
                guard greeted(client, token) else { return false }
            case .failed(let reason):
                return fail(client, token, .http2, "HTTP/2: \(reason)")
            case .goAway(let code):
                if code != .noError {
                    return fail(client, token, .http2, "the server has sent GOAWAY: \(code)")
                }
            case .answer(let answer, let tag):
                withStream(tag) { $0.takeStreamAnswer(answer, $1, $2) }
            case .data(let bytes, let tag):
                withStream(tag) { $0.takeStreamData(bytes, $1, $2) }
            case .end(let tag):
                withStream(tag) { $0.peerEnded($1, $2) }
            case .drained(let tag):
                withStream(tag) { $0.sendMore($1, $2) }
            case .closed(let code, let tag):
                withStream(tag) { $0.streamClosed(code, $1, $2) }
            }
        }
        return true
    }

    private mutating func withStream(
        _ tag: UInt64, _ body: (inout LoadLoop, ClientPointer, Token) -> Void
    ) {
        let token = Token(rawValue: tag)
        guard let stream = slab.pointer(token) else { return }
        body(&self, stream, token)
    }

    private mutating func takeStreamAnswer(
        _ answer: HTTP2Answer, _ client: ClientPointer, _ token: Token
    ) {
        guard client.pointee.phase == .upgrading else { return }
        if let refusal = opening.refusal(in: answer) {
            fail(client, token, refusal.cause, refusal.sentence)
            return
        }
        if opened(client, token) { sendMore(client, token) }
    }

    private mutating func takeStreamData(
        _ bytes: UnsafeMutableRawBufferPointer, _ client: ClientPointer, _ token: Token
    ) {
        guard let start = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self) else { return }
        switch client.pointee.phase {
        case .open, .closing:
            // What stands in front of the bytes was taken before them, so there is room for a tail.
            guard takeFrames(start, count: bytes.count, client, token) else { return }
            sendMore(client, token)
        case .upgrading: fail(client, token, .http2, "bytes came before the answer")
        case .connecting, .handshaking, .greeting, .carrying, .ending: break
        }
    }

    /// The server has ended its side of a stream.
    private mutating func peerEnded(_ client: ClientPointer, _ token: Token) {
        if client.pointee.phase != .ending {
            fail(client, token, .vanished, "the stream ended without a Close")
        }
    }

    /// A stream is over on both sides.
    private mutating func streamClosed(
        _ code: HTTP2ErrorCode, _ client: ClientPointer, _ token: Token
    ) {
        client.pointee.streamID = 0
        // Behind both Closes and our end some servers reset what they could end.
        guard client.pointee.phase == .ending else {
            fail(client, token, .reset, "the stream was reset: \(code)")
            return
        }
        let carrierToken = client.pointee.carrier
        if kind == .cycle {
            meter.pointee.countOne()
            meter.pointee.record(nanoseconds: now &- client.pointee.startedAt)
        }
        finish(client, token)
        guard kind == .cycle, stage.rawValue <= Stage.measuring.rawValue,
            let carrierToken, let carrier = slab.pointer(carrierToken)
        else { return }
        _ = openStreams(1, on: carrier, carrierToken)
    }

    // MARK: Sending

    /// Holds bytes of a stream, which leave when its carrier is flushed.
    mutating func putOnStream(
        _ bytes: UnsafePointer<UInt8>, count: Int, _ client: ClientPointer, _ token: Token
    ) -> Bool {
        guard let carrierToken = client.pointee.carrier, let carrier = slab.pointer(carrierToken),
            carrier.pointee.http2?.send(
                client.pointee.streamID, UnsafeRawBufferPointer(start: bytes, count: count))
                == true
        else { return fail(client, token, .http2, "nothing more can be sent on the stream") }
        markDirty(carrier, carrierToken)
        return true
    }

    /// Whether what was to be sent waits: for the socket, or of a stream for its connection.
    ///
    /// It changes nothing; a method that only reads would be given a copy of the loop.
    mutating func isBlocked(_ client: ClientPointer) -> Bool {
        guard let carrier = client.pointee.carrier else { return !client.pointee.held.isEmpty }
        let http2 = slab.pointer(carrier)?.pointee.http2
        return (http2?.heldBytes(client.pointee.streamID) ?? 0) > 0
    }

    /// Ends our side of a stream behind the Closes, and waits for the server's.
    mutating func endStream(_ client: ClientPointer) -> Bool {
        if let token = client.pointee.carrier, let carrier = slab.pointer(token) {
            carrier.pointee.http2?.finish(client.pointee.streamID)
            markDirty(carrier, token)
        }
        return true
    }

    private mutating func markDirty(_ carrier: ClientPointer, _ token: Token) {
        if carrier.pointee.isDirty { return }
        carrier.pointee.isDirty = true
        dirtyCarriers.append(token)
    }

    /// Sends what carriers have.
    mutating func flushCarriers() {
        while !dirtyCarriers.isEmpty {
            var tokens: [Token] = []
            swap(&tokens, &dirtyCarriers)
            for token in tokens {
                guard let carrier = slab.pointer(token) else { continue }
                _ = flushCarrier(carrier, token)
            }
        }
    }

    /// Sends what a carrier has, as far as the socket takes it; false when the connection is gone.
    mutating func flushCarrier(_ client: ClientPointer, _ token: Token) -> Bool {
        let room = UnsafeMutableRawBufferPointer(start: produced, count: Self.producedBytes)
        while client.pointee.held.isEmpty, let http2 = client.pointee.http2 {
            client.pointee.isDirty = false
            let count = http2.produce(into: room)
            if count > 0 {
                guard put(produced, count: count, client, token) else { return false }
            }
            guard takeEvents(client, token) else { return false }
            if count == 0, !client.pointee.isDirty { break }
        }
        return true
    }

    // MARK: Ending

    /// A stream is forgotten: its connection ends with the last one when the run does.
    mutating func leaveCarrier(_ client: ClientPointer) {
        guard let token = client.pointee.carrier, let carrier = slab.pointer(token) else { return }
        carrier.pointee.streamCount -= 1
        if client.pointee.streamID != 0 {
            carrier.pointee.http2?.reset(client.pointee.streamID, .cancel)
            markDirty(carrier, token)
        }
        if stage == .closing { endIdleCarrier(carrier, token) }
    }

    /// Ends a connection without streams in order.
    mutating func endIdleCarrier(_ carrier: ClientPointer, _ token: Token) {
        guard carrier.pointee.phase == .carrying, carrier.pointee.streamCount == 0 else { return }
        carrier.pointee.http2?.shutDown()
        guard flushCarrier(carrier, token) else { return }
        carrier.pointee.http2 = nil
        carrierCount -= 1
        _ = beginEnding(carrier, token)
    }

    /// A connection is gone, and its streams with it.
    mutating func dropStreams(of carrier: ClientPointer, _ carrierToken: Token) {
        if carrier.pointee.phase == .carrying { carrierCount -= 1 }
        carrier.pointee.http2 = nil
        guard carrier.pointee.streamCount > 0 else { return }
        var index = -1
        while let token = slab.nextLive(after: index) {
            index = Int(token.index)
            guard let client = slab.pointer(token), client.pointee.carrier == carrierToken else {
                continue
            }
            client.pointee.carrier = nil
            client.pointee.hasLostCarrier = true
            fail(client, token, .vanished, "the connection of a stream is gone")
        }
    }
}
