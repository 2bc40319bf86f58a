// SPDX-License-Identifier: Apache-2.0
import Glibc
import Reactor
import Router
import Splice
import TLS
import Wire

extension Worker {
    /// Connects to the next address of the endpoint, or to the next endpoint, or gives up.
    mutating func dialNext(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ opening: Opening
    ) {
        guard let group = opening.route?.upstream else { return }
        while true {
            if let address = opening.addresses.popFirst() {
                if dial(connection, token, opening, address) { return }
                continue
            }
            if opening.endpoint != nil { attemptFailed(connection, opening) }
            let now = space.pointee.nowMilliseconds
            guard let next = group.picker.pick(nowMilliseconds: now, excluding: opening.tried)
            else {
                let label = group.endpoints.first?.label ?? group.picker.name
                refuse(connection, token, opening.lastFailure ?? .unresolved(label))
                return
            }
            opening.tried.append(next)
            opening.endpoint = next
            let endpoint = group.endpoints[next]
            group.picker.opened(next)
            connection.pointee.notes.group = group
            connection.pointee.notes.endpoint = next
            connection.pointee.notes.upstream = endpoint.label
            opening.addresses = endpoint.addresses[...]
            if opening.addresses.isEmpty { opening.lastFailure = .unresolved(endpoint.label) }
        }
    }

    /// The endpoint could not be reached: it cools down, and its place is given back.
    mutating func attemptFailed(
        _ connection: UnsafeMutablePointer<Connection>, _ opening: Opening
    ) {
        guard let group = opening.route?.upstream, let endpoint = opening.endpoint else { return }
        let picker = group.picker
        // Where it was our own means that failed, the endpoint is not to blame.
        if opening.lastFailure?.status != 503 {
            picker.failed(endpoint, nowMilliseconds: space.pointee.nowMilliseconds)
        }
        picker.closed(endpoint)
        connection.pointee.notes.group = nil
        opening.endpoint = nil
    }

    /// Begins to connect.
    ///
    /// - Returns: false when it failed at once, and the reason is noted.
    private mutating func dial(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ opening: Opening,
        _ address: Address
    ) -> Bool {
        let leg: Leg
        let result: ConnectResult
        do throws(SystemError) {
            let socket = try Socket.stream(for: address)
            if !address.isUnix { socket.setNoDelay() }
            result = socket.connect(to: address)
            leg = Leg(socket)
        } catch {
            opening.lastFailure = .noResources(error.description)
            return false
        }
        if case .failed(let code) = result {
            noteFailure(opening, code)
            return false
        }
        let descriptor = leg.socket.descriptor
        connection.pointee.relay.backend = leg
        guard poller.add(descriptor, token.tagged(Worker.backendTag), .edgeBoth) else {
            opening.lastFailure = .noResources("epoll is full")
            return false
        }
        armAttempt(token, opening)
        // Within one machine the handshake of TCP is over when connect(2) returns, though it says
        // that it is in progress: to try costs less than to wait for the event.
        if result == .connected || address.isLoopback {
            return sendRequest(connection, token, opening)
        }
        return true
    }

    /// Gives an attempt its share of the time that is left, so that one address which does not
    /// answer leaves some for the others.
    private mutating func armAttempt(_ token: Token, _ opening: Opening) {
        let now = space.pointee.nowMilliseconds
        let endpoints = opening.route?.upstream?.endpoints.count ?? 1
        let others = opening.addresses.count + max(0, endpoints - opening.tried.count)
        let left =
            opening.connectDeadlineMilliseconds
            &- min(
                now, opening.connectDeadlineMilliseconds)
        timers.arm(token, at: now + left / UInt64(others + 1))
    }

    private func noteFailure(_ opening: Opening, _ code: Int32) {
        let label =
            opening.route?.upstream.flatMap { group in
                opening.endpoint.map { group.endpoints[$0].label }
            } ?? "?"
        opening.lastFailure = .unreachable(
            label, reason: SystemError.text(of: code), isRefused: code == ECONNREFUSED)
    }

    /// The upstream's socket has something to say before the tunnel is open.
    mutating func backendIsReady(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ opening: Opening,
        _ flags: Readiness
    ) {
        switch opening.phase {
        case .dialing:
            if flags.contains(.hangup) {
                let code = connection.pointee.relay.backend.socket.pendingError()
                if code != 0 {
                    noteFailure(opening, code)
                    dialNext(connection, token, opening)
                    return
                }
            }
            guard flags.contains(.writable) || flags.contains(.readable) else { return }
            connection.pointee.relay.backend.note(flags)
            if !sendRequest(connection, token, opening) {
                dialNext(connection, token, opening)
                return
            }
        case .answer:
            connection.pointee.relay.backend.note(flags)
            if flags.contains(.writable) { _ = connection.pointee.relay.backend.drain(space) }
        default: return
        }
        readAnswer(connection, token, opening)
    }

    /// Sends the opening handshake, if the connection to the upstream stands.
    ///
    /// - Returns: false when the connection has failed, and the reason is noted.
    private mutating func sendRequest(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ opening: Opening
    ) -> Bool {
        guard let request = opening.request, let group = opening.route?.upstream,
            let endpoint = opening.endpoint
        else { return false }
        let listener = crew.listeners[opening.listener]
        let head = UpstreamRequest.bytes(
            of: request, path: opening.path, client: connection.pointee.notes.client,
            port: listener.address.port, isSecure: listener.isSecure)
        let result = head.withUnsafeBufferPointer { bytes -> IOResult in
            guard let start = bytes.baseAddress else { return .blocked }
            let result = connection.pointee.relay.backend.socket.send(start, count: bytes.count)
            if case .moved(let moved) = result, moved < bytes.count {
                connection.pointee.relay.backend.put(
                    start + moved, count: bytes.count - moved, space)
            }
            return result
        }
        switch result {
        case .moved:
            group.picker.succeeded(endpoint)
            opening.phase = .answer
            let now = space.pointee.nowMilliseconds
            timers.arm(token, at: now + crew.settings.upgradeMilliseconds)
            return true
        case .failed(let code):
            noteFailure(opening, code)
            return false
        case .blocked, .ended: return true
        }
    }

    /// Reads the upstream's answer until its head is whole.
    private mutating func readAnswer(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ opening: Opening
    ) {
        while connection.pointee.relay.backend.isReadable && opening.phase == .answer {
            let received = connection.pointee.relay.backend.receive(space)
            var rest = UnsafeRawBufferPointer(start: received.bytes, count: received.count)
            while opening.phase == .answer && !rest.isEmpty {
                let progress = opening.answerParser.append(rest)
                switch progress {
                case .needsMore: rest = UnsafeRawBufferPointer(rebasing: rest.suffix(0))
                case .failed(let fault):
                    refuse(
                        connection, token,
                        .badAnswer("The upstream's answer can't be used: \(fault.sentence)"))
                    return
                case .complete(let head, let consumed):
                    rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(consumed))
                    judgeAnswer(connection, token, opening, head, rest)
                }
            }
            if opening.phase == .answer && connection.pointee.relay.backend.hasEnded {
                refuse(connection, token, .noAnswer)
                return
            }
        }
    }

    private mutating func judgeAnswer(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ opening: Opening,
        _ head: ResponseHead, _ rest: UnsafeRawBufferPointer
    ) {
        guard let request = opening.request, let route = opening.route else { return }
        let accept = WebSocketAccept.value(forKey: request.key)
        switch UpgradeAnswer.judge(head, expectedAccept: accept, offered: request) {
        case .informational:
            // Interim answers are for the next hop's own use; the final one decides.
            opening.answerParser = ResponseHeadParser(limits: crew.settings.headLimits)
        case .invalid(let sentence):
            refuse(
                connection, token,
                head.status == 101 ? .badUpgrade(sentence) : .badAnswer(sentence))
        case .ordinary(let framing):
            connection.pointee.notes.status = head.status
            prependTicket(opening)
            send(UpstreamRequest.ordinary(head), connection)
            connection.pointee.relay.open(answering: framing)
            opened(connection, token, opening, rest)
        case .switching(let reservedBits, _, _):
            connection.pointee.notes.status = 101
            connection.pointee.relay.open(
                reservedBits: reservedBits, messageBytesMax: route.messageBytesMax)
            prependTicket(opening)
            send(UpstreamRequest.switching(head), connection)
            opened(connection, token, opening, rest)
        }
    }

    private func send(_ bytes: [UInt8], _ connection: UnsafeMutablePointer<Connection>) {
        bytes.withUnsafeBufferPointer { buffer in
            guard let start = buffer.baseAddress else { return }
            // What is sealed at once has to fit into the records' output.
            let pieceMax = space.pointee.openedCapacity
            for offset in stride(from: 0, to: buffer.count, by: pieceMax) {
                let count = min(pieceMax, buffer.count - offset)
                connection.pointee.relay.client.put(start + offset, count: count, space)
            }
        }
    }

    /// The legs belong to the relay from here: what came early goes on, then what waits.
    private mutating func opened(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ opening: Opening,
        _ rest: UnsafeRawBufferPointer
    ) {
        opening.phase = .leaving
        connection.pointee.opening = nil
        timers.cancel(token)
        if !rest.isEmpty {
            // `rest` lies in the receive buffer; feeding copies it before anything is received.
            connection.pointee.relay.feed(.backend, rest, space)
        }
        opening.early.withUnsafeBytes { early in
            if !early.isEmpty { connection.pointee.relay.feed(.client, early, space) }
        }
        var verdict = connection.pointee.relay.begin(space)
        verdict.formUnion(connection.pointee.relay.ready(.client, [], space))
        if !verdict.contains(.ended) {
            verdict.formUnion(connection.pointee.relay.ready(.backend, [], space))
        }
        if !verdict.isEmpty { obey(verdict, token) }
    }
}
