// SPDX-License-Identifier: Apache-2.0
import Reactor
import Router
import Splice
import TLS
import Wire

/// Bodies on their way: requests up, answers down. Where the destination is full, the source is
/// not read.
extension Worker {
    /// Answers up to so many bytes leave with their head, in one record.
    private static let joinedBytesMax = 8 * 1024

    // MARK: Up

    /// Moves the request's body up while there is some and there is room for it.
    ///
    /// - Returns: whether it stopped at the budget.
    mutating func pumpRequest(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ exchange: Exchange
    ) -> Bool {
        var budget = space.pointee.pumpBytesMax
        while exchange.phase == .relaying, !exchange.up.isDone, !exchange.isUpCut,
            let slot = exchange.upstream.flatMap({ upstreams.pointer($0) }),
            slot.pointee.leg.held.isEmpty
        {
            if budget <= 0 { return true }
            guard let piece = nextBodyPiece(connection, exchange) else {
                if connection.pointee.relay.client.hasEnded {
                    connection.pointee.notes.detail = "the client left within a request's body"
                    clientLeft(connection, token, exchange)
                }
                return false
            }
            budget -= piece.count
            guard let framed = takeBody(connection, token, exchange, piece) else { return false }
            if framed.count > 0 {
                exchange.up.bytesSent += UInt64(framed.count)
                exchange.movedMilliseconds = space.pointee.nowMilliseconds
                if !slot.pointee.leg.put(framed.start, count: framed.count, space) {
                    exchange.isUpCut = true
                }
            }
            if exchange.up.isDone {
                sendLastChunk(exchange, &slot.pointee.leg)
                arm(connection, token, exchange)
            }
        }
        return false
    }

    /// The next client bytes, where they may be changed in place; nil while there are none.
    private mutating func nextBodyPiece(
        _ connection: UnsafeMutablePointer<Connection>, _ exchange: Exchange
    ) -> UnsafeMutableBufferPointer<UInt8>? {
        if !exchange.carry.isEmpty {
            let count = min(exchange.carry.count, space.pointee.openedCapacity)
            let opened = UnsafeMutableBufferPointer(start: space.pointee.opened, count: count)
            _ = opened.update(fromContentsOf: exchange.carry.prefix(count))
            exchange.drop(count)
            return opened
        }
        while connection.pointee.relay.client.isReadable
            && !connection.pointee.relay.client.hasEnded
        {
            let received = connection.pointee.relay.client.receive(space)
            if received.count > 0 {
                return UnsafeMutableBufferPointer(start: received.bytes, count: received.count)
            }
        }
        return nil
    }

    /// Takes a piece of the request's body out of its framing, and puts it into ours.
    ///
    /// - Returns: what may go on; nil when the request ended here.
    private mutating func takeBody(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ exchange: Exchange,
        _ piece: UnsafeMutableBufferPointer<UInt8>
    ) -> (start: UnsafeMutablePointer<UInt8>, count: Int)? {
        guard let start = piece.baseAddress else { return nil }
        let outcome = exchange.up.decoder.decode(start, count: piece.count)
        if outcome.consumed < piece.count && outcome.fault == nil {
            // The next request, which came along.
            let rest = UnsafeRawBufferPointer(piece)[outcome.consumed...]
            exchange.unread(UnsafeRawBufferPointer(rebasing: rest))
        }
        if let fault = outcome.fault {
            fail(connection, token, exchange, Refusal(fault))
            return nil
        }
        let bytesMax = exchange.route?.bodyBytesMax ?? .max
        if exchange.up.decoder.payloadBytes > bytesMax {
            fail(connection, token, exchange, .tooLarge(bytesMax))
            return nil
        }
        if outcome.payload == 0 || !exchange.up.writesChunks { return (start, outcome.payload) }
        return ChunkWriter.frame(start, count: outcome.payload)
    }

    /// Takes what has come of the body already, to let it travel with the head.
    ///
    /// - Returns: false when the request ended here.
    mutating func takeFirstBody(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ exchange: Exchange
    ) -> Bool {
        guard !exchange.up.isDone, !exchange.carry.isEmpty,
            let piece = nextBodyPiece(connection, exchange)
        else { return true }
        guard let framed = takeBody(connection, token, exchange, piece) else { return false }
        exchange.firstBody = Array(UnsafeBufferPointer(start: framed.start, count: framed.count))
        if exchange.up.isDone && exchange.up.writesChunks {
            exchange.firstBody += ChunkWriter.last(trailers: exchange.up.decoder.trailers)
        }
        exchange.up.bytesSent = UInt64(exchange.firstBody.count)
        return true
    }

    private mutating func sendLastChunk(_ exchange: Exchange, _ leg: inout Leg) {
        if !exchange.up.writesChunks || exchange.isUpCut { return }
        let last = ChunkWriter.last(trailers: exchange.up.decoder.trailers)
        exchange.up.bytesSent += UInt64(last.count)
        last.withUnsafeBufferPointer { bytes in
            guard let start = bytes.baseAddress else { return }
            leg.put(start, count: bytes.count, space)
        }
    }

    // MARK: Down

    /// Reads the answer while there is some and the client has room for it.
    ///
    /// - Returns: whether it stopped at the budget.
    mutating func pumpAnswer(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ exchange: Exchange
    ) -> Bool {
        var budget = space.pointee.pumpBytesMax
        guard let carrier = exchange.upstream else { return false }
        while exchange.upstream == carrier, let slot = upstreams.pointer(carrier),
            slot.pointee.isConnected, slot.pointee.leg.isReadable, !slot.pointee.leg.hasEnded,
            connection.pointee.relay.client.held.isEmpty
        {
            if budget <= 0 { return true }
            let received = slot.pointee.leg.receive(space)
            budget -= received.rawCount
            let hasEnded = slot.pointee.leg.hasEnded
            if received.count > 0 {
                exchange.hasAnswerBytes = true
                exchange.movedMilliseconds = space.pointee.nowMilliseconds
                takeAnswer(connection, token, exchange, received.bytes, count: received.count)
            }
            if hasEnded && isCurrent(token, exchange) && exchange.upstream == carrier {
                answerEnded(connection, token, exchange)
                return false
            }
        }
        if isCurrent(token, exchange) && exchange.phase == .relaying {
            if connection.pointee.relay.client.isUnwritable {
                clientLeft(connection, token, exchange)
            } else {
                arm(connection, token, exchange)
            }
        }
        return false
    }

    /// Takes bytes of the upstream: heads of answers until the final one, then its body.
    private mutating func takeAnswer(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ exchange: Exchange,
        _ bytes: UnsafeMutablePointer<UInt8>, count: Int
    ) {
        var offset = 0
        while exchange.down == nil {
            if offset == count { return }
            let rest = UnsafeRawBufferPointer(start: bytes + offset, count: count - offset)
            switch exchange.answerParser.append(rest) {
            case .needsMore: return
            case .failed(let fault):
                fail(
                    connection, token, exchange,
                    .badAnswer("The upstream's answer can't be used: \(fault.sentence)"))
                return
            case .complete(let answer, let consumed):
                offset += consumed
                let head: [UInt8]
                do throws(HeadFault) {
                    head = try takeAnswerHead(connection, exchange, answer)
                } catch {
                    fail(connection, token, exchange, .badAnswer(error.sentence))
                    return
                }
                passAnswer(
                    connection, token, exchange, head: head, bytes + offset, count: count - offset)
                if exchange.down != nil || !isCurrent(token, exchange) { return }
                if exchange.phase != .relaying { return }
            }
        }
        passAnswer(connection, token, exchange, head: [], bytes + offset, count: count - offset)
    }

    /// Sends a piece of the answer's body on, behind the head where this is the first.
    ///
    /// Of an interim answer there is the head alone.
    mutating func passAnswer(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ exchange: Exchange,
        head: [UInt8], _ bytes: UnsafeMutablePointer<UInt8>, count: Int
    ) {
        prependTicket(connection)
        // In place: a copy of it would cost more than the decoding.
        guard let outcome = exchange.down?.decoder.decode(bytes, count: count) else {
            send(head, connection)
            return
        }
        let writesChunks = exchange.down?.writesChunks ?? false
        var framed = (start: bytes, count: outcome.payload)
        if outcome.payload > 0 && writesChunks {
            framed = ChunkWriter.frame(bytes, count: outcome.payload)
        }
        let last =
            outcome.isDone && writesChunks
            ? ChunkWriter.last(trailers: exchange.down?.decoder.trailers) : []
        exchange.down?.bytesSent += UInt64(framed.count + last.count)
        sendPieces(connection, head, framed, last)
        if let fault = outcome.fault {
            fail(
                connection, token, exchange,
                .badAnswer("The body of the upstream's answer can't be used: \(fault.sentence)"))
        } else if outcome.isDone {
            if outcome.consumed < count { exchange.mayReuse = false }
            answerDone(connection, token, exchange)
        }
    }

    /// Sends what belongs together in as few records and packets as can be.
    private mutating func sendPieces(
        _ connection: UnsafeMutablePointer<Connection>, _ head: [UInt8],
        _ body: (start: UnsafeMutablePointer<UInt8>, count: Int), _ last: [UInt8]
    ) {
        if head.isEmpty && last.isEmpty {
            if body.count == 0 { return }
            connection.pointee.relay.client.put(body.start, count: body.count, space)
            return
        }
        if head.count + body.count + last.count <= Worker.joinedBytesMax {
            var whole = head
            whole.append(contentsOf: UnsafeBufferPointer(start: body.start, count: body.count))
            whole += last
            send(whole, connection)
            return
        }
        // What is sealed at once has to fit into the records' output.
        let mayStage = head.count + body.count + last.count <= space.pointee.openedCapacity
        if mayStage { stage(head, connection) } else { send(head, connection) }
        if body.count > 0 {
            connection.pointee.relay.client.stage(body.start, count: body.count, space)
        }
        stage(last, connection)
        connection.pointee.relay.client.flushRecords(space)
    }

    private mutating func stage(
        _ bytes: [UInt8], _ connection: UnsafeMutablePointer<Connection>
    ) {
        bytes.withUnsafeBufferPointer { buffer in
            guard let start = buffer.baseAddress, buffer.count > 0 else { return }
            connection.pointee.relay.client.stage(start, count: buffer.count, space)
        }
    }

    /// Judges the head of an answer, and writes it as the client gets it.
    ///
    /// After a final one `exchange.down` is set.
    mutating func takeAnswerHead(
        _ connection: UnsafeMutablePointer<Connection>, _ exchange: Exchange, _ answer: ResponseHead
    ) throws(HeadFault) -> [UInt8] {
        guard let request = exchange.request, let route = exchange.route else { return [] }
        if answer.status == 101 {
            throw HeadFault(
                status: 502, sentence: "The upstream switches protocols though nobody asked it to.")
        }
        let framing = try BodyFraming(response: answer, toMethod: request.head.method)
        let isHTTP11 = request.head.isHTTP11
        if answer.status < 200 {
            exchange.renewAnswer()
            // An HTTP/1.0 client knows no interim answers (RFC 9110 §15.2).
            return isHTTP11 ? ClientAnswer.interim(answer) : []
        }
        let writesChunks = isHTTP11 && (framing == .chunked || framing == .untilClose)
        let endsWithConnection = !isHTTP11 && (framing == .chunked || framing == .untilClose)
        // What of the request has not come by now may never come.
        if !exchange.up.isDone || endsWithConnection || drainDeadlineMilliseconds != nil {
            exchange.isPersistent = false
        }
        exchange.mayReuse = exchange.mayReuse && framing != .untilClose && answer.isPersistent
        exchange.endsWithConnection = endsWithConnection
        exchange.beginAnswer(framing, writesChunks: writesChunks)
        connection.pointee.notes.status = answer.status
        return ClientAnswer.final(
            answer, edits: route.answerFields, hop: hop(connection),
            framing: ClientAnswer.Framing(
                framing, of: answer, writesChunks: writesChunks,
                isToHead: request.head.method == "HEAD"),
            persistence: persistence(exchange))
    }

    /// The answer went out whole.
    private mutating func answerDone(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ exchange: Exchange
    ) {
        returnUpstream(exchange)
        endRequest(connection, token, exchange)
    }

    /// The upstream's stream has ended: that completes the answer, or cuts it.
    private mutating func answerEnded(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ exchange: Exchange
    ) {
        exchange.mayReuse = false
        let wasReset =
            exchange.upstream.flatMap { upstreams.pointer($0) }?.pointee.leg.isUnwritable ?? true
        if let down = exchange.down {
            guard down.decoder.isCompleteAtEnd && !wasReset else {
                fail(connection, token, exchange, .incompleteAnswer)
                return
            }
            if down.writesChunks { send(ChunkWriter.last(trailers: nil), connection) }
            answerDone(connection, token, exchange)
        } else if exchange.isOnReused && exchange.maySendAgain {
            // The upstream closed an idle connection just as the request went out.
            letUpstreamGo(exchange)
            sendAgain(connection, token, exchange)
        } else {
            fail(connection, token, exchange, .incompleteAnswer)
        }
    }
}
