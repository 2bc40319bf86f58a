// SPDX-License-Identifier: Apache-2.0
import Reactor
import Router
import Splice
import Wire

/// How connections come to an end that never had a tunnel, and how all of them do.
extension Worker {
    /// Answers a request with a refusal and lets the client read it.
    mutating func refuse(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ refusal: Refusal
    ) {
        let notes = connection.pointee.notes
        notes.status = refusal.status
        notes.proxyError = refusal.proxyError
        notes.detail = refusal.sentence
        refusal.bytes(date: exchanges.date.now()).withUnsafeBufferPointer { bytes in
            guard let start = bytes.baseAddress else { return }
            connection.pointee.relay.client.put(start, count: bytes.count, space)
        }
        leave(connection, token)
    }

    /// Says nothing more: what was sent is delivered, and what still comes is read off, for a while.
    ///
    /// Closing at once would reset the connection and could destroy the answer on its way.
    mutating func leave(_ connection: UnsafeMutablePointer<Connection>, _ token: Token) {
        connection.pointee.opening?.phase = .leaving
        connection.pointee.opening = nil
        if let exchange = connection.pointee.exchange {
            letUpstreamGo(exchange)
            letKeptGo(exchange)
            exchanges.retire(exchange)
            connection.pointee.exchange = nil
        }
        connection.pointee.notes.letEndpointGo()
        let verdict = connection.pointee.relay.leave(space)
        obey(verdict, token)
    }

    /// The client speaks TLS where none is spoken, or does not where it is.
    mutating func answerOtherProtocol(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ opening: Opening,
        _ received: Leg.Received
    ) {
        let address = connection.pointee.notes.listener.address
        let client = connection.pointee.notes.client
        if connection.pointee.relay.client.tls == nil {
            crew.journal.event(
                LogEvent(
                    .warning,
                    "\(client) began a TLS handshake on \(address), which speaks plain ws:// only:"
                        + " use ws:// there, or give that listener a certificate."))
            connection.pointee.notes.detail = "TLS on a plain port"
            // A fatal protocol_version alert (RFC 8446 §6.2), as plain bytes.
            let alert: [UInt8] = [0x15, 0x03, 0x01, 0x00, 0x02, 0x02, 70]
            alert.withUnsafeBufferPointer { bytes in
                guard let start = bytes.baseAddress else { return }
                connection.pointee.relay.client.put(start, count: bytes.count, space)
            }
            leave(connection, token)
            return
        }
        let first = received.bytes[0]
        guard first >= UInt8(ascii: "A") && first <= UInt8(ascii: "Z") else {
            connection.pointee.notes.detail = "neither TLS nor HTTP"
            leave(connection, token)
            return
        }
        connection.pointee.relay.client.tls = nil
        opening.phase = .misaddressed
        timers.arm(token, at: space.pointee.nowMilliseconds + snapshot.settings.headMilliseconds)
        takeMisaddressed(
            connection, token, opening,
            UnsafeRawBufferPointer(start: received.bytes, count: received.count))
    }

    private mutating func takeMisaddressed(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ opening: Opening,
        _ bytes: UnsafeRawBufferPointer
    ) {
        switch opening.requestParser.append(bytes) {
        case .needsMore: break
        case .failed: answerPlain(connection, token, head: nil)
        case .complete(let head, _): answerPlain(connection, token, head: head)
        }
    }

    /// Answers plain HTTP on a TLS port in plain HTTP, with the URL that works.
    mutating func answerPlain(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, head: RequestHead?
    ) {
        let notes = connection.pointee.notes
        let address = notes.listener.address
        var authority = "localhost:\(address.port)"
        var path = "/"
        if let head {
            if let host = head.fields.first("host"), (try? HostName(parsing: host)) != nil {
                authority = String(decoding: host, as: UTF8.self)
            }
            if let target = try? RequestTarget(parsing: head.target) {
                path = String(decoding: target.path, as: UTF8.self)
            }
        }
        notes.path = path
        let isUpgrade = head?.fields.upgradesToWebSocket ?? false
        let sentence =
            "This port speaks TLS, and the request came without it: use wss://\(authority)\(path)"
            + (isUpgrade ? " instead of ws://." : " (a browser page: https://\(authority)\(path)).")
        crew.journal.event(
            LogEvent(.info, "\(notes.client) sent plain HTTP to \(address), which speaks TLS."))
        refuse(
            connection, token,
            Refusal(status: 400, proxyError: "http_request_error", sentence: sentence))
    }

    /// Hands the record of a relay that has just opened to the journal.
    func reportOpening(_ connection: UnsafeMutablePointer<Connection>, _ token: Token) {
        guard crew.journal.takesRelayOpens else { return }
        var record = record(connection.pointee.notes)
        record.kind = .opened
        record.relay = RelayID(worker: index, token: token)
        crew.journal.access(record)
    }

    /// Hands the record of a connection that ends to the journal.
    func report(_ connection: UnsafeMutablePointer<Connection>, _ token: Token) {
        let notes = connection.pointee.notes
        // Somebody who connects and leaves without a word (a port scan, a health check) is no line.
        if notes.status == 0 && notes.detail.isEmpty { return }
        let isRelay = notes.isCounted
        guard isRelay ? crew.journal.takesRelayEnds : crew.journal.takesRequests else { return }
        var record = record(notes)
        if isRelay {
            record.kind = .ended
            record.relay = RelayID(worker: index, token: token)
        }
        let ending = connection.pointee.relay.ending
        record.up = connection.pointee.relay.upCounts
        record.down = connection.pointee.relay.downCounts
        record.clientRoundTrip = connection.pointee.relay.clientRoundTrip
        record.upstreamRoundTrip = connection.pointee.relay.upstreamRoundTrip
        record.closeCode = ending.code
        record.initiator = ending.initiator
        record.reason = ending.reason
        if ending.violation != .none { record.detail = ending.violation.sentence }
        crew.journal.access(record)
    }

    /// Hands the record of an ordinary request to the journal; `ownBytes` are those of the body of an
    /// answer of our own, and `isWhole` says that the answer went out to its end.
    func reportRequest(
        _ connection: UnsafeMutablePointer<Connection>, _ exchange: ExchangePointer,
        ownBytes: UInt64 = 0,
        isWhole: Bool
    ) {
        guard crew.journal.takesRequests else { return }
        var record = record(connection.pointee.notes)
        if exchange.pointee.hasRequest {
            describe(exchange.pointee.request, &record)
            let began = exchange.pointee.beganMilliseconds
            record.acceptedWallMilliseconds &+= record.durationMilliseconds
            record.durationMilliseconds = space.pointee.nowMilliseconds &- began
            record.acceptedWallMilliseconds &-= record.durationMilliseconds
            record.status = exchange.pointee.status
            record.route = exchange.pointee.plan?.route.name ?? ""
        }
        record.up.payloadBytes = exchange.pointee.up.decoder.payloadBytes
        record.up.bytes = exchange.pointee.up.bytesSent
        let hasAnswer = exchange.pointee.hasAnswer
        record.down.payloadBytes =
            hasAnswer ? exchange.pointee.down.decoder.payloadBytes : ownBytes
        record.down.bytes = hasAnswer ? exchange.pointee.down.bytesSent : ownBytes
        record.reason = isWhole ? .answered : .none
        crew.journal.access(record)
    }

    /// Says what was asked for.
    private func describe(_ request: borrowing OrdinaryRequest, _ record: inout AccessRecord) {
        let bytes = request.bytes
        record.method = request.head.method
        record.host = String(decoding: bytes[request.hostRange], as: UTF8.self)
        record.path = String(decoding: bytes[request.pathRange], as: UTF8.self)
    }

    private func record(_ notes: ConnectionNotes) -> AccessRecord {
        var record = AccessRecord(
            client: notes.client, listener: notes.listener.address)
        let began = notes.requestMilliseconds ?? notes.acceptedMilliseconds
        let duration = space.pointee.nowMilliseconds &- began
        record.durationMilliseconds = duration
        record.acceptedWallMilliseconds = Clock.wallMilliseconds() &- duration
        record.tls = notes.tls
        record.method = notes.method
        record.host = notes.host
        record.path = notes.path
        record.route = notes.route
        record.status = notes.status
        record.proxyError = notes.proxyError
        record.detail = notes.detail
        record.upstream = notes.upstream
        record.triedUpgrade = notes.triedUpgrade
        return record
    }
}
