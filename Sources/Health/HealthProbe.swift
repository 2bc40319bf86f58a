// SPDX-License-Identifier: Apache-2.0
import Ledger
import Reactor
import TLS
import Wire

/// One check of one endpoint: a connection of its own, on which nothing waits.
///
/// After the verdict it lingers until the other side has closed, so that no app has to log that its
/// client broke off.
final class HealthProbe {
    enum Outcome: Equatable {
        /// Nothing is known yet.
        case pending
        case passed
        /// The endpoint is not well: why.
        case failed(String)
        /// It was our own means that failed, which says nothing of the endpoint.
        case skipped(Shortage)
        /// After the verdict: the connection is over.
        case over
    }

    private enum Phase {
        case connecting, securing, asking, lingering
    }

    /// Answers longer than this are not read to their end.
    private static let answerBytesMax = 65_536

    private let authority: String
    private let key = WebSocketAccept.makeKey()
    private let upstream: CheckedUpstream
    private var check: HealthCheck { upstream.check }
    private var addresses: ArraySlice<Address>
    private var socket = Socket.none()
    private var phase = Phase.connecting
    private var unsent: ArraySlice<UInt8> = []
    private var received: [UInt8] = []
    private var lingered = 0
    /// How TLS is spoken with the endpoint; nil where it is not.
    private let destination: TLSDestination?
    private let records: RecordBuffers
    private var tls: TLSSession?
    /// Something of its part in the handshake has come.
    private var hasHeardHandshake = false
    /// Bytes that have come of it.
    private var handshakeBytes = 0
    /// Why TLS has failed.
    private var fault: DestinationFault?
    /// What one of the attempts has met.
    private var lastShortage: Shortage?
    private var lastFailure = "its name does not resolve"
    /// The socket is a new one, which nobody watches yet.
    private(set) var needsWatching = false

    init(_ upstream: CheckedUpstream, _ endpoint: Endpoint, through records: RecordBuffers) {
        self.upstream = upstream
        self.records = records
        destination = upstream.destination(endpoint)
        authority = upstream.check.host ?? endpoint.authority
        addresses = endpoint.addresses[...]
    }

    /// The socket's descriptor, for the poller.
    var descriptor: Int32 { socket.descriptor }

    func isWatched() { needsWatching = false }

    /// What is said when its time is over.
    var timeoutReason: String {
        let time = check.timeoutMilliseconds
        let length = time % 1_000 == 0 ? "\(time / 1_000) s" : "\(time) ms"
        return switch phase {
        case .connecting: "no connection within \(length)"
        case .securing: "its TLS handshake was not done within \(length)"
        case .asking, .lingering: "no answer within \(length)"
        }
    }

    /// Whether the verdict was given.
    var isLingering: Bool { phase == .lingering }

    /// Begins to connect, to the next address if there are several.
    func connect() -> Outcome {
        while let address = addresses.popFirst() {
            var sources = upstream.sources(address)
            repeat {
                let source = sources.popFirst()
                let shortage = begin(address, from: source)
                if needsWatching { return .pending }
                guard let shortage else { break }
                lastShortage = shortage
            } while !sources.isEmpty
        }
        return lastShortage.map(Outcome.skipped) ?? .failed(lastFailure)
    }

    /// Begins to connect, as clients' connections are; `needsWatching` is set where that is under way.
    ///
    /// - Returns: what was missing, where that has failed for want of something.
    private func begin(_ address: Address, from source: Address?) -> Shortage? {
        do throws(DialFault) {
            socket = try Socket.dialing(address, from: source)
        } catch {
            guard case .failed(let code) = error else {
                if case .shortage(let shortage) = error { return shortage }
                return nil
            }
            lastFailure = SystemError.text(of: code)
            return nil
        }
        if case .failed(let code) = socket.connect(to: address) {
            lastFailure = SystemError.text(of: code)
            return Shortage(code, connectingTo: address, hasSource: source != nil)
        }
        phase = .connecting
        needsWatching = true
        return nil
    }

    /// The socket has something to say.
    func ready(_ flags: Readiness) -> Outcome {
        switch phase {
        case .connecting:
            if flags.contains(.hangup) {
                let code = socket.pendingError()
                if code != 0 {
                    lastFailure = SystemError.text(of: code)
                    return connect()
                }
            }
            guard flags.contains(.writable) || flags.contains(.readable) else { return .pending }
            let introduction = check.introduction.map(ProxyHeader.ownBytes) ?? []
            if let destination { return secure(destination, introduction) }
            unsent = introduction[...]
            return ask(flags)
        case .securing: return shakeHands()
        case .asking: return exchange()
        case .lingering: return linger()
        }
    }

    /// Asks what is to be asked on a connection that stands.
    private func ask(_ flags: Readiness) -> Outcome {
        if check.question == .connection { return .passed }
        phase = .asking
        put(request())
        return flags.contains(.readable) || flags.contains(.hangup) ? exchange() : send()
    }

    // MARK: TLS

    /// Begins the handshake, behind what stands in front of it.
    private func secure(_ destination: TLSDestination, _ introduction: [UInt8]) -> Outcome {
        phase = .securing
        tls = TLSSession.connecting(to: destination, through: records)
        takeLoanBack()
        guard tls?.handshake() == .wantsInput else {
            return .failed(tls == nil ? DestinationFault.unusableName.clause : reason(destination))
        }
        unsent = (introduction + records.takeOutput())[...]
        return send()
    }

    /// Forgets what was lent of bytes that have come: what a failed session did not read is nothing for the next
    /// one, and its memory is gone.
    private func takeLoanBack() { records.setInput(UnsafePointer(records.output), count: 0) }

    private func reason(_ destination: TLSDestination) -> String {
        let clause = tls?.takeDestinationFault(of: destination.serverName).clause
        // The endpoint is told why, in an alert.
        unsent += records.takeOutput()
        _ = send()
        return clause ?? DestinationFault.ended.clause
    }

    /// Goes on with the handshake as far as what has come allows.
    private func shakeHands() -> Outcome {
        if case .failed(let reason) = send() { return .failed(reason) }
        guard let destination else { return .failed("it speaks no TLS") }
        while true {
            let (piece, result) = receivePiece()
            switch result {
            case .moved: break
            case .blocked: return .pending
            case .ended: return .failed(DestinationFault.ended.clause)
            case .failed: return .failed(DestinationFault.reset.clause)
            }
            if !hasHeardHandshake, let first = piece.first {
                hasHeardHandshake = true
                guard TLSSession.mayBegin(with: first) else {
                    return .failed(piece.withUnsafeBytes { DestinationFault.plain($0) }.clause)
                }
            }
            handshakeBytes += piece.count
            if handshakeBytes > TLSSession.handshakeBytesMax {
                return .failed(DestinationFault.endless.clause)
            }
            var opened: [UInt8] = []
            let progress = piece.withUnsafeBufferPointer { bytes -> HandshakeProgress in
                guard let start = bytes.baseAddress else { return .wantsInput }
                defer { takeLoanBack() }
                records.setInput(start, count: bytes.count)
                let progress = tls?.handshake() ?? .failed
                if case .done = progress { opened = open() }
                return progress
            }
            switch progress {
            case .failed:
                let reason = reason(destination)
                return .failed(reason)
            case .wantsInput:
                unsent += records.takeOutput()
                if case .failed(let reason) = send() { return .failed(reason) }
            case .done:
                unsent += records.takeOutput()
                tls?.giveSessionBack()
                if !opened.isEmpty { return .failed(DestinationFault.early.clause) }
                if case .failed(let reason) = send() { return .failed(reason) }
                return ask([.readable])
            }
        }
    }

    /// Opens the records among the input that was lent.
    private func open() -> [UInt8] {
        let capacity = records.inputRemaining + 17 * 1_024
        return [UInt8](unsafeUninitializedCapacity: capacity) { bytes, count in
            guard let start = bytes.baseAddress else { return }
            let outcome = tls?.readAll(into: start, capacity: capacity)
            count = outcome?.count ?? 0
            if outcome?.status == .failed, let destination {
                fault = tls?.takeDestinationFault(of: destination.serverName)
            }
        }
    }

    /// Has bytes be sent, sealed where TLS is spoken.
    private func put(_ bytes: [UInt8]) {
        guard tls != nil else {
            unsent += bytes
            return
        }
        _ = bytes.withUnsafeBufferPointer { bytes in
            bytes.baseAddress.map { tls?.write($0, count: bytes.count) }
        }
        unsent += records.takeOutput()
    }

    // MARK: Bytes

    /// Sends what is left of the request.
    private func send() -> Outcome {
        while !unsent.isEmpty {
            let result = unsent.withUnsafeBufferPointer { bytes in
                bytes.baseAddress.map { socket.send($0, count: bytes.count) } ?? .blocked
            }
            switch result {
            case .moved(let count): unsent = unsent.dropFirst(count)
            case .blocked: return .pending
            case .ended, .failed: return .failed("it closed the connection")
            }
        }
        return .pending
    }

    private func exchange() -> Outcome {
        if case .failed(let reason) = send() { return .failed(reason) }
        while true {
            let before = received.count
            switch receive() {
            case .moved:
                if let outcome = judge() { return outcome }
                if received.count > Self.answerBytesMax { return .failed("its answer has no end") }
            case .blocked: return .pending
            case .ended, .failed:
                if let fault { return .failed(fault.clause) }
                return .failed(
                    before == 0
                        ? "it closed the connection without an answer"
                        : "it closed the connection within its answer")
            }
        }
    }

    private func receivePiece() -> ([UInt8], IOResult) {
        var piece = [UInt8](repeating: 0, count: 16_384)
        let result = piece.withUnsafeMutableBufferPointer { bytes in
            bytes.baseAddress.map { socket.receive(into: $0, count: bytes.count) } ?? .ended
        }
        if case .moved(let count) = result { return (Array(piece.prefix(count)), result) }
        return ([], result)
    }

    private func receive() -> IOResult {
        let (piece, result) = receivePiece()
        guard case .moved = result else { return result }
        guard tls != nil else {
            received += piece
            return result
        }
        received += piece.withUnsafeBufferPointer { bytes in
            guard let start = bytes.baseAddress else { return [] }
            defer { takeLoanBack() }
            records.setInput(start, count: bytes.count)
            return open()
        }
        unsent += records.takeOutput()
        return fault == nil ? result : .ended
    }

    /// Reads on to the end, which says nothing any more.
    private func linger() -> Outcome {
        while lingered < Self.answerBytesMax {
            received = []
            switch receive() {
            case .moved(let count): lingered += count
            case .blocked: return .pending
            case .ended, .failed: return .over
            }
        }
        return .over
    }

    /// After the verdict: has the other side close, which it does by itself behind an answer to a GET.
    ///
    /// - Returns: whether there is something to wait for.
    func beginToLinger() -> Bool {
        guard phase == .asking else { return farewell() }
        phase = .lingering
        received = []
        if case .handshake = check.question {
            var bytes = [UInt8](repeating: 0, count: ControlFrame.byteCountMax)
            let frame: [UInt8] = bytes.withUnsafeMutableBufferPointer { buffer in
                guard let start = buffer.baseAddress else { return [] }
                let count = ControlFrame.close(
                    .normal, reason: "health check", maskKey: .random(in: .min ... .max),
                    into: start)
                return Array(buffer.prefix(count))
            }
            put(frame)
            if case .failed = send() { return false }
        }
        return linger() == .pending
    }

    /// Says that nothing follows where that is all that there is to say: of TLS that was asked for nothing.
    private func farewell() -> Bool {
        if tls != nil && fault == nil {
            tls?.closeNotify()
            unsent += records.takeOutput()
            _ = send()
        }
        return false
    }

    // MARK: HTTP

    private func request() -> [UInt8] {
        var lines: [String] = []
        switch check.question {
        case .connection: break
        case .get(let path, _):
            lines = [
                "GET \(path) HTTP/1.1", "Host: \(authority)", "User-Agent: sluice-health",
                "Accept: */*", "Connection: close",
            ]
        case .handshake(let path):
            lines = [
                "GET \(path) HTTP/1.1", "Host: \(authority)", "User-Agent: sluice-health",
                "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
                "Sec-WebSocket-Key: \(String(decoding: key, as: UTF8.self))",
            ]
        }
        return Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8)
    }

    /// The verdict, once the head of the final answer is whole.
    private func judge() -> Outcome? {
        while true {
            var parser = ResponseHeadParser(limits: .builtIn(bytesMax: Self.answerBytesMax))
            switch received.withUnsafeBytes({ parser.append($0) }) {
            case .needsMore: return nil
            case .failed(let fault): return .failed("its answer can't be used: \(fault.sentence)")
            case .complete(let head, let count):
                // Interim answers come before the one that counts.
                if head.status < 200 && head.status != 101 {
                    received.removeFirst(count)
                    continue
                }
                return judge(head)
            }
        }
    }

    private func judge(_ head: ResponseHead) -> Outcome {
        switch check.question {
        case .connection: return .passed
        case .get(_, let statuses):
            let isRight =
                statuses.isEmpty
                ? 200..<400 ~= head.status : statuses.contains(Int(head.status))
            return isRight ? .passed : .failed("status \(head.status)")
        case .handshake:
            guard head.status == 101 else {
                return .failed("status \(head.status) instead of 101")
            }
            guard head.fields.listContains("upgrade", token: "websocket"),
                head.fields.listContains("connection", token: "upgrade")
            else { return .failed("a 101 that does not switch to WebSocket") }
            let accept = WebSocketAccept.value(forKey: key)
            guard let found = head.fields.first("sec-websocket-accept"), found.elementsEqual(accept)
            else { return .failed("a 101 with another Sec-WebSocket-Accept than the key's") }
            return .passed
        }
    }
}
