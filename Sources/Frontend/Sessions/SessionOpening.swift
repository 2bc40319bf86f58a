// SPDX-License-Identifier: Apache-2.0
import Ledger
import Reactor
import Splice
import TLS
import Wire

/// Takes a session through what comes before its first request: the header of the PROXY protocol,
/// the first byte, and the TLS handshake.
struct SessionOpening {
    let state: StatePointer

    init(_ state: StatePointer) { self.state = state }

    var space: UnsafeMutablePointer<Workspace> { state.pointee.space }
    var now: UInt64 { state.pointee.now }
    private var settings: FrontendSettings { state.pointee.settings }
    var sessions: SessionKeeper { SessionKeeper(state) }

    /// Takes the steps that come before the first request, as far as the bytes go.
    func advance(_ session: SessionPointer) {
        while session.pointee.stream.leg.isReadable {
            switch session.pointee.stage {
            case .introduction:
                if !takeIntroduction(session) { return }
            case .sniffing(let isDeferred), .handshaking(let isDeferred, _):
                if isDeferred { return }
                if session.pointee.stream.leg.tls != nil && state.pointee.handshakesLeft <= 0 {
                    setDeferred(session, true)
                    state.pointee.deferredHandshakes.append(session.pointee.client)
                    return
                }
                if !handshakeStep(session) { return }
            case .misaddressed:
                let received = session.pointee.stream.leg.receive(space)
                if received.count > 0 {
                    takeMisaddressed(session, received)
                    guard case .misaddressed = session.pointee.stage else { return }
                }
                if session.pointee.stream.leg.hasEnded {
                    sessions.close(session)
                    return
                }
            case .serving:
                sessions.readOn(session)
                return
            case .multiplexing:
                MultiplexKeeper(state).isReady(session, [])
                return
            case .leaving: return
            }
        }
    }

    private func setDeferred(_ session: SessionPointer, _ isDeferred: Bool) {
        if case .sniffing = session.pointee.stage {
            session.pointee.stage = .sniffing(isDeferred: isDeferred)
        } else if case .handshaking(_, let hello) = session.pointee.stage {
            session.pointee.stage = .handshaking(isDeferred: isDeferred, hello)
        }
    }

    /// Goes on with the handshakes that waited for their turn, as many as a turn has.
    func runDeferredHandshakes() {
        let count = min(state.pointee.handshakesLeft, state.pointee.deferredHandshakes.count)
        guard count > 0 else { return }
        let due = state.pointee.deferredHandshakes.prefix(count)
        state.pointee.deferredHandshakes.removeFirst(count)
        for token in due {
            guard let session = state.pointee.clients.pointer(token)?.pointee.session else {
                continue
            }
            setDeferred(session, false)
            advance(session)
            RequestExecutor(state).run()
        }
    }

    /// Reads who has connected, where a load balancer says so.
    ///
    /// The bytes are looked at before they are taken, so that what stands behind the header stays
    /// where the next reader finds it.
    ///
    /// - Returns: whether the session may go on now.
    private func takeIntroduction(_ session: SessionPointer) -> Bool {
        let (bytes, result) = session.pointee.stream.leg.socket.peek(ProxyHeader.byteCountMax)
        switch result {
        case .blocked:
            session.pointee.stream.leg.isReadable = false
            return false
        case .ended, .failed:
            sessions.close(session)
            return false
        case .moved: break
        }
        switch ProxyHeader.read(bytes) {
        case .needsMore:
            // The next bytes make another event.
            session.pointee.stream.leg.isReadable = false
            if session.pointee.stream.leg.isHangingUp { sessions.close(session) }
            return false
        case .failed(let reason):
            sessions.note(session, "no header of the PROXY protocol: \(reason)")
            sessions.close(session)
            return false
        case .complete(let length, let source):
            guard let peer = Introduction.address(of: source, else: session.pointee.facts.peer)
            else {
                sessions.note(session, "no header of the PROXY protocol: its address is none")
                sessions.close(session)
                return false
            }
            session.pointee.facts.peer = peer
            guard ClientCounts(state).admit(&session.pointee.facts) else {
                sessions.close(session)
                return false
            }
            _ = session.pointee.stream.leg.socket.receive(
                into: space.pointee.received, count: length)
            session.pointee.stage = .sniffing(isDeferred: false)
            return true
        }
    }

    /// One step of the handshake; the first one finds out what the client speaks.
    ///
    /// - Returns: whether the session may go on now.
    private func handshakeStep(_ session: SessionPointer) -> Bool {
        let received = session.pointee.stream.leg.receiveRaw(space)
        if received.count == 0 {
            if session.pointee.stream.leg.hasEnded {
                sessions.close(session)
                return false
            }
            return true
        }
        let isSecure = session.pointee.stream.leg.tls != nil
        if case .sniffing = session.pointee.stage {
            if isSecure != (received.bytes[0] == 0x16) {
                answerOtherProtocol(session, received)
                if case .misaddressed = session.pointee.stage { return true }
                return false
            }
            session.pointee.stage =
                isSecure ? .handshaking(isDeferred: false, HelloRecords()) : .serving
        }
        if !isSecure { return sessions.take(session, received) }
        state.pointee.handshakesLeft -= 1
        space.pointee.records.setInput(received.bytes, count: received.count)
        let progress = session.pointee.stream.leg.tls?.handshake() ?? .failed
        let hasAnswered = space.pointee.records.outputCount > 0
        if progress == .failed {
            handshakeFailed(session, received)
            return false
        }
        if progress == .wantsInput {
            keepHello(session, received, wasAnswered: hasAnswered)
            session.pointee.stream.leg.flushRecords(space)
            // The ClientHello was whole: from here the handshake's own deadline counts.
            if hasAnswered {
                sessions.arm(
                    session,
                    at: session.pointee.facts.acceptedMilliseconds + settings.handshakeMilliseconds)
            }
            return true
        }
        return handshakeDone(session)
    }

    private func handshakeDone(_ session: SessionPointer) -> Bool {
        let facts = session.pointee.stream.leg.tls?.facts()
        session.pointee.facts.tls = facts
        if let clients = session.pointee.facts.listener.clients {
            session.pointee.facts.certificate = session.pointee.stream.leg.tls?
                .clientCertificate(verifiedBy: clients)
        }
        session.pointee.securedMilliseconds = now
        if let facts { Metering(state).completed(facts) }
        let isMultiplexed = session.pointee.facts.isHTTP2
        if isMultiplexed {
            MultiplexKeeper(state).begin(session)
        } else {
            session.pointee.stage = .serving
        }
        state.pointee.settling.append(
            session.pointee.client, due: now + settings.settleMilliseconds)
        // In TLS 1.3 all that is left to send is the ticket, which travels with the first answer rather
        // than in a packet of its own; in 1.2 the client waits for the rest.
        if facts?.version == .tls13 { session.pointee.stream.leg.tls?.setOutputAside() }
        if space.pointee.records.inputRemaining == 0 { sendTicket(session) }
        session.pointee.stream.leg.flushRecords(space)
        if let multiplex = session.pointee.multiplex {
            MultiplexKeeper(state).arm(session, multiplex)
        } else {
            sessions.arm(session, at: now + settings.headMilliseconds)
        }
        // The request may have come with the client's last flight.
        let opened = session.pointee.stream.leg.openRest(space)
        if opened.count > 0 {
            if isMultiplexed {
                MultiplexKeeper(state).take(session, opened)
            } else if !sessions.take(session, opened) {
                return false
            }
        } else if session.pointee.stream.leg.hasEnded {
            sessions.close(session)
            return false
        }
        sendTicket(session)
        return true
    }

    /// Sends the ticket on its own, since no request came that it could travel with the answer of.
    private func sendTicket(_ session: SessionPointer) {
        session.pointee.stream.leg.tls?.putBackOutput()
        session.pointee.stream.leg.flushRecords(space)
    }

    // MARK: The other protocol

    /// The client speaks TLS where none is spoken, or does not where it is.
    private func answerOtherProtocol(_ session: SessionPointer, _ received: Leg.Received) {
        let address = session.pointee.facts.listener.address
        let isRedirect = session.pointee.facts.listener.redirectsToHTTPS
        if session.pointee.stream.leg.tls == nil {
            Metering(state).misaddressed(session, .tlsOnPlain)
            state.pointee.crew.journal.event(
                LogEvent(
                    .warning,
                    "\(session.pointee.facts.peer) began a TLS handshake on \(address), which "
                        + (isRedirect
                            ? "only sends plain http on to https: the URL names the wrong port."
                            : "speaks plain ws:// only: use ws:// there, or give that listener a certificate.")
                ))
            sessions.note(session, "TLS on a plain port")
            // In plain HTTP, since every alert would say that TLS is spoken here: clients then look for the cause
            // in versions and ciphers, where this tells them that it is none (ERR_SSL_PROTOCOL_ERROR).
            let sentence =
                isRedirect
                ? "This port only sends plain http on to https, and a TLS handshake came: the URL names the wrong port."
                : "This port speaks plain ws and http, and a TLS handshake came: use ws:// there."
            sessions.send(
                session, Refusal(status: 400, proxyError: .httpRequestError, sentence: sentence))
            sessions.leave(session)
            return
        }
        let first = received.bytes[0]
        guard first >= UInt8(ascii: "A") && first <= UInt8(ascii: "Z") else {
            Metering(state).misaddressed(session, .unknown)
            sessions.note(session, "neither TLS nor HTTP")
            sessions.leave(session)
            return
        }
        Metering(state).misaddressed(session, .plainOnTLS)
        session.pointee.stream.leg.tls = nil
        session.pointee.stage = .misaddressed
        sessions.arm(session, at: now + settings.headMilliseconds)
        takeMisaddressed(session, received)
    }

    private func takeMisaddressed(_ session: SessionPointer, _ received: Leg.Received) {
        let bytes = UnsafeRawBufferPointer(start: received.bytes, count: received.count)
        switch session.pointee.reader.parser.append(bytes) {
        case .needsMore: break
        case .failed: answerPlain(session, head: nil)
        case .complete(let head, _): answerPlain(session, head: head)
        }
    }

    /// Answers plain HTTP on a TLS port in plain HTTP, with the URL that works.
    func answerPlain(_ session: SessionPointer, head: RequestHead?) {
        let peer = session.pointee.facts.peer
        let address = session.pointee.facts.listener.address
        var authority = "localhost:\(address.port)"
        var path = "/"
        if let head {
            if let host = head.fields.first("host"), let name = try? HostName(parsing: host) {
                authority = String(decoding: host, as: UTF8.self)
                // The usual port of the plain scheme, which nobody has to name, is not this one.
                if name.port == nil, address.port != 443, !address.isUnix {
                    if authority.hasSuffix(":") { authority.removeLast() }
                    authority += ":\(address.port)"
                }
            }
            if let target = try? RequestTarget(parsing: head.target) {
                path = String(decoding: target.path, as: UTF8.self)
            }
        }
        let isUpgrade = head?.fields.upgradesToWebSocket ?? false
        let sentence =
            "This port speaks TLS, and the request came without it: use wss://\(authority)\(path)"
            + (isUpgrade ? " instead of ws://." : " (a browser page: https://\(authority)\(path)).")
        state.pointee.crew.journal.event(
            LogEvent(.info, "\(peer) sent plain HTTP to \(address), which speaks TLS."))
        var facts = RequestFacts(
            client: peer, beganMilliseconds: session.pointee.facts.acceptedMilliseconds)
        facts.path = path
        sessions.refuse(
            session, Refusal(status: 400, proxyError: .httpRequestError, sentence: sentence),
            facts)
    }
}
