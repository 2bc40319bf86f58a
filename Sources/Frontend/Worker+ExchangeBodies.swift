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
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ exchange: ExchangePointer
    ) -> Bool {
        var budget = space.pointee.pumpBytesMax
        while exchange.pointee.phase == .relaying, !exchange.pointee.up.isDone,
            !exchange.pointee.isUpCut,
            let slot = exchange.pointee.upstream.flatMap({ upstreams.pointer($0) }),
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
                exchange.pointee.up.bytesSent += UInt64(framed.count)
                exchange.pointee.movedMilliseconds = space.pointee.nowMilliseconds
                exchange.pointee.bodyMovedMilliseconds = space.pointee.nowMilliseconds
                if !slot.pointee.leg.put(framed.start, count: framed.count, space) {
                    exchange.pointee.isUpCut = true
                }
            }
            if exchange.pointee.up.isDone {
                sendLastChunk(exchange, &slot.pointee.leg)
                arm(connection, token, exchange)
            }
        }
        return false
    }

    /// The next client bytes, where they may be changed in place; nil while there are none.
    private mutating func nextBodyPiece(
        _ connection: UnsafeMutablePointer<Connection>, _ exchange: ExchangePointer
    ) -> UnsafeMutableBufferPointer<UInt8>? {
        if !exchange.pointee.carry.isEmpty {
            let count = min(exchange.pointee.carry.count, space.pointee.openedCapacity)
            let opened = UnsafeMutableBufferPointer(start: space.pointee.opened, count: count)
            _ = opened.update(fromContentsOf: exchange.pointee.carry.prefix(count))
            exchange.pointee.drop(count)
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
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ exchange: ExchangePointer,
        _ piece: UnsafeMutableBufferPointer<UInt8>
    ) -> (start: UnsafeMutablePointer<UInt8>, count: Int)? {
        guard let start = piece.baseAddress else { return nil }
        let outcome = exchange.pointee.up.decoder.decode(start, count: piece.count)
        if outcome.consumed < piece.count && outcome.fault == nil {
            // The next request, which came along.
            let rest = UnsafeRawBufferPointer(piece)[outcome.consumed...]
            exchange.pointee.unread(UnsafeRawBufferPointer(rebasing: rest))
        }
        if let fault = outcome.fault {
            fail(connection, token, exchange, Refusal(fault))
            return nil
        }
        let bytesMax = exchange.pointee.plan?.route.bodyBytesMax ?? .max
        if exchange.pointee.up.decoder.payloadBytes > bytesMax {
            fail(connection, token, exchange, .tooLarge(bytesMax))
            return nil
        }
        if outcome.payload == 0 || !exchange.pointee.up.writesChunks {
            return (start, outcome.payload)
        }
        return ChunkWriter.frame(start, count: outcome.payload)
    }

    /// Takes what has come of the body already, to let it travel with the head.
    ///
    /// - Returns: false when the request ended here.
    mutating func takeFirstBody(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ exchange: ExchangePointer
    ) -> Bool {
        guard !exchange.pointee.up.isDone, !exchange.pointee.carry.isEmpty,
            let piece = nextBodyPiece(connection, exchange)
        else { return true }
        guard let framed = takeBody(connection, token, exchange, piece) else { return false }
        exchange.pointee.firstBody = Array(
            UnsafeBufferPointer(start: framed.start, count: framed.count))
        if exchange.pointee.up.isDone && exchange.pointee.up.writesChunks {
            exchange.pointee.firstBody += ChunkWriter.last(
                trailers: exchange.pointee.up.decoder.trailers)
        }
        exchange.pointee.up.bytesSent = UInt64(exchange.pointee.firstBody.count)
        return true
    }

    private mutating func sendLastChunk(_ exchange: ExchangePointer, _ leg: inout Leg) {
        if !exchange.pointee.up.writesChunks || exchange.pointee.isUpCut { return }
        let last = ChunkWriter.last(trailers: exchange.pointee.up.decoder.trailers)
        exchange.pointee.up.bytesSent += UInt64(last.count)
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
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ exchange: ExchangePointer
    ) -> Bool {
        var budget = space.pointee.pumpBytesMax
        guard let carrier = exchange.pointee.upstream else { return false }
        while exchange.pointee.upstream == carrier, let slot = upstreams.pointer(carrier),
            slot.pointee.isConnected, slot.pointee.leg.isReadable, !slot.pointee.leg.hasEnded,
            connection.pointee.relay.client.held.isEmpty
        {
            if budget <= 0 { return true }
            let received = slot.pointee.leg.receive(space)
            budget -= received.rawCount
            let hasEnded = slot.pointee.leg.hasEnded
            if received.count > 0 {
                exchange.pointee.hasAnswerBytes = true
                exchange.pointee.movedMilliseconds = space.pointee.nowMilliseconds
                takeAnswer(connection, token, exchange, received.bytes, count: received.count)
            }
            if hasEnded && isCurrent(token, exchange) && exchange.pointee.upstream == carrier {
                answerEnded(connection, token, exchange)
                return false
            }
        }
        if isCurrent(token, exchange) && exchange.pointee.phase == .relaying {
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
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ exchange: ExchangePointer,
        _ bytes: UnsafeMutablePointer<UInt8>, count: Int
    ) {
        var offset = 0
        while !exchange.pointee.hasAnswer {
            if offset == count { return }
            let rest = UnsafeRawBufferPointer(start: bytes + offset, count: count - offset)
            if exchange.pointee.answerParser.byteCount == 0 {
                exchange.pointee.answerParser.lend(exchanges.lend())
            }
            switch exchange.pointee.answerParser.append(rest) {
            case .needsMore: return
            case .failed(let fault):
                fail(
                    connection, token, exchange,
                    .badAnswer("The upstream's answer can't be used: \(fault.sentence)"))
                return
            case .complete(var answer, let consumed):
                offset += consumed
                do throws(HeadFault) {
                    try takeAnswerHead(connection, exchange, answer)
                } catch {
                    fail(connection, token, exchange, .badAnswer(error.sentence))
                    return
                }
                exchanges.takeBack(answer.takeMemory())
                let hasAnswer = exchange.pointee.hasAnswer
                passAnswer(connection, token, exchange, bytes + offset, count: count - offset)
                if hasAnswer || !isCurrent(token, exchange) { return }
                if exchange.pointee.phase != .relaying { return }
            }
        }
        exchanges.writer.clear()
        passAnswer(connection, token, exchange, bytes + offset, count: count - offset)
    }

    /// Sends a piece of the answer's body on, behind the head that was written where this is the
    /// first.
    ///
    /// Of an interim answer there is the head alone.
    mutating func passAnswer(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ exchange: ExchangePointer,
        _ bytes: UnsafeMutablePointer<UInt8>, count: Int
    ) {
        guard exchange.pointee.hasAnswer else {
            sendWritten(connection)
            return
        }
        // In place: a copy of it would cost more than the decoding.
        let outcome = exchange.pointee.down.decoder.decode(bytes, count: count)
        let writesChunks = exchange.pointee.down.writesChunks
        var framed = (start: bytes, count: outcome.payload)
        if outcome.payload > 0 && writesChunks {
            framed = ChunkWriter.frame(bytes, count: outcome.payload)
        }
        let last =
            outcome.isDone && writesChunks
            ? ChunkWriter.last(trailers: exchange.pointee.down.decoder.trailers) : []
        exchange.pointee.down.bytesSent += UInt64(framed.count + last.count)
        sendPieces(connection, framed, last)
        if let fault = outcome.fault {
            fail(
                connection, token, exchange,
                .badAnswer("The body of the upstream's answer can't be used: \(fault.sentence)"))
        } else if outcome.isDone {
            if outcome.consumed < count { exchange.pointee.mayReuse = false }
            answerDone(connection, token, exchange)
        }
    }

    /// Sends what belongs together in as few records and packets as can be.
    private mutating func sendPieces(
        _ connection: UnsafeMutablePointer<Connection>,
        _ body: (start: UnsafeMutablePointer<UInt8>, count: Int), _ last: [UInt8]
    ) {
        let headCount = exchanges.writer.count
        if headCount == 0 && last.isEmpty {
            if body.count == 0 { return }
            connection.pointee.relay.client.put(body.start, count: body.count, space)
            return
        }
        if headCount + body.count + last.count <= Worker.joinedBytesMax {
            exchanges.writer.append(UnsafeBufferPointer(start: body.start, count: body.count))
            if !last.isEmpty { exchanges.writer.append(last) }
            sendWritten(connection)
            return
        }
        // What is sealed at once has to fit into the records' output.
        let mayStage = headCount + body.count + last.count <= space.pointee.openedCapacity
        if !mayStage {
            sendWritten(connection)
        } else if headCount > 0 {
            let head = exchanges.writer.start
            connection.pointee.relay.client.stage(head, count: headCount, space)
            exchanges.writer.clear()
        }
        if body.count > 0 {
            connection.pointee.relay.client.stage(body.start, count: body.count, space)
        }
        stage(last, connection)
        connection.pointee.relay.client.flushRecords(space)
    }

    /// Sends what was written to the client.
    mutating func sendWritten(_ connection: UnsafeMutablePointer<Connection>) {
        // What is sealed at once has to fit into the records' output.
        let pieceMax = space.pointee.openedCapacity
        let start = exchanges.writer.start
        let total = exchanges.writer.count
        var offset = 0
        while offset < total {
            let count = min(pieceMax, total - offset)
            connection.pointee.relay.client.put(start + offset, count: count, space)
            offset += count
        }
        exchanges.writer.clear()
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
    /// After a final one the exchange has its answer.
    mutating func takeAnswerHead(
        _ connection: UnsafeMutablePointer<Connection>, _ exchange: ExchangePointer,
        _ answer: ResponseHead
    ) throws(HeadFault) {
        exchanges.writer.clear()
        guard let plan = exchange.pointee.plan else { return }
        if answer.status == 101 {
            throw HeadFault(
                status: 502, sentence: "The upstream switches protocols though nobody asked it to.")
        }
        let method = exchange.pointee.method
        let framing = try BodyFraming(response: answer, to: method)
        let isHTTP11 = exchange.pointee.isHTTP11
        if answer.status < 500 {
            let notes = connection.pointee.notes
            notes.group?.answered(
                notes.endpoint, nowMilliseconds: space.pointee.nowMilliseconds, crew.journal)
        }
        if answer.status < 200 {
            exchange.pointee.renewAnswer()
            // An HTTP/1.0 client knows no interim answers (RFC 9110 §15.2).
            if isHTTP11 { ClientAnswer.writeInterim(answer, into: &exchanges.writer) }
            return
        }
        let isEndless = framing == .chunked || framing == .untilClose
        let endsWithConnection = !isHTTP11 && isEndless
        // What of the request has not come by now may never come.
        if !exchange.pointee.up.isDone || endsWithConnection || drainDeadlineMilliseconds != nil {
            exchange.pointee.isPersistent = false
        }
        let options = answer.fields.connectionOptions
        exchange.pointee.mayReuse =
            exchange.pointee.mayReuse && framing != .untilClose && answer.isPersistent(options)
        exchange.pointee.endsWithConnection = endsWithConnection
        let writesChunks = isHTTP11 && isEndless
        exchange.pointee.beginAnswer(framing, writesChunks: writesChunks)
        exchange.pointee.status = answer.status
        ClientAnswer.writeFinal(
            answer, options, plan: plan.answer, policyLine: exchange.pointee.passage.policyLine,
            framing: ClientAnswer.Framing(
                framing, of: answer, writesChunks: writesChunks, isToHead: method == .head),
            persistence: persistence(exchange), into: &exchanges.writer)
    }

    /// The answer went out whole.
    private mutating func answerDone(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ exchange: ExchangePointer
    ) {
        returnUpstream(exchange)
        endRequest(connection, token, exchange)
    }

    /// The upstream's stream has ended: that completes the answer, or cuts it.
    private mutating func answerEnded(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ exchange: ExchangePointer
    ) {
        exchange.pointee.mayReuse = false
        let wasReset =
            exchange.pointee.upstream.flatMap { upstreams.pointer($0) }?.pointee.leg.isUnwritable
            ?? true
        if exchange.pointee.hasAnswer {
            guard exchange.pointee.down.decoder.isCompleteAtEnd && !wasReset else {
                fail(connection, token, exchange, .incompleteAnswer)
                return
            }
            if exchange.pointee.down.writesChunks {
                send(ChunkWriter.last(trailers: nil), connection)
            }
            answerDone(connection, token, exchange)
        } else if exchange.pointee.isOnReused && exchange.pointee.maySendAgain {
            // The upstream closed an idle connection just as the request went out.
            letUpstreamGo(exchange)
            sendAgain(connection, token, exchange)
        } else {
            fail(connection, token, exchange, .incompleteAnswer)
        }
    }
}
