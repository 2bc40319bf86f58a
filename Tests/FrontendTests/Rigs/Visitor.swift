// SPDX-License-Identifier: Apache-2.0
import Glibc
import Reactor
import TLS
import Wire

/// What went wrong for a client of the tests.
struct VisitorFault: Error, CustomStringConvertible {
    let description: String
}

/// A client over a real socket: it waits for what it is to be sent, up to a limit.
final class Visitor {
    private static let patienceMilliseconds: Int32 = 20_000

    private var socket: Socket?
    private var records: RecordBuffers?
    private var session: TLSSession?
    /// Bytes that came and were not asked for yet, opened where there is TLS.
    private var waiting: [UInt8] = []
    private var hasEnded = false
    /// Whoever must not go as long as its visitor is there.
    var host: AnyObject?
    /// The session was closed before the stream ended.
    private(set) var wasClosedByNotify = false
    /// Why the session failed, as OpenSSL says it; empty while it did not.
    private(set) var reasons: [String] = []

    /// Connects, and shakes hands where there is TLS; with `holdsFinished` the last flight goes out
    /// with what is sent first.
    init(
        _ address: Address, tls: TLSContext? = nil, holdsFinished: Bool = false,
        resuming ticket: ResumptionTicket? = nil
    ) throws {
        let socket = try Socket.stream(for: address)
        guard case .failed(let code) = socket.connect(to: address) else {
            try Self.wait(socket.descriptor, POLLOUT)
            let code = socket.pendingError()
            if code != 0 { throw VisitorFault(description: SystemError.text(of: code)) }
            self.socket = Optional(consume socket)
            if let tls { try shakeHands(tls, holdsFinished, ticket) }
            return
        }
        throw VisitorFault(description: SystemError.text(of: code))
    }

    deinit {
        session = nil
        records?.free()
    }

    /// Whether nobody listens there.
    static func isRefused(_ address: Address) -> Bool {
        do {
            _ = try Visitor(address)
            return false
        } catch {
            return "\(error)".contains("refused") || "\(error)".contains("No such file")
        }
    }

    /// Sends bytes, sealed where there is TLS; `change` makes of the records what is really sent.
    func send(_ bytes: [UInt8], changed change: ([UInt8]) -> [UInt8]) throws {
        bytes.withUnsafeBufferPointer { buffer in
            if let start = buffer.baseAddress { _ = session?.write(start, count: buffer.count) }
        }
        try transmit(change(takeRecords()))
    }

    func send(_ bytes: [UInt8]) throws {
        bytes.withUnsafeBufferPointer { buffer in
            if let start = buffer.baseAddress { _ = session?.write(start, count: buffer.count) }
        }
        try transmit(session == nil ? bytes : takeRecords())
    }

    /// Reads until `isEnough` has found what it wants at the start: so many bytes.
    func receive(until isEnough: ([UInt8]) -> Int?) throws -> [UInt8] {
        while true {
            if let count = isEnough(waiting) {
                defer { waiting.removeFirst(count) }
                return Array(waiting[..<count])
            }
            if hasEnded {
                throw VisitorFault(description: "the stream ended behind \(waiting)")
            }
            try receiveSome()
        }
    }

    /// Everything up to the end of the stream.
    func receiveToEnd() throws -> [UInt8] {
        while !hasEnded { try receiveSome() }
        defer { waiting = [] }
        return waiting
    }

    /// An HTTP head; its body waits.
    func receiveHead() throws -> ResponseHead {
        var found: ResponseHead?
        _ = try receive { bytes in
            var parser = ResponseHeadParser(limits: HeadLimits(bytesMax: 1_048_576))
            guard case .complete(let head, let count) = bytes.withUnsafeBytes({ parser.append($0) })
            else { return nil }
            found = head
            return count
        }
        guard let found else { throw VisitorFault(description: "no head") }
        return found
    }

    /// Asks for a tunnel.
    func upgrade(path: String = "/", fields: [String] = []) throws -> ResponseHead {
        let lines = [
            "GET \(path) HTTP/1.1", "Host: localhost", "Upgrade: websocket",
            "Connection: Upgrade", "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        ]
        try send(Array(((lines + fields).joined(separator: "\r\n") + "\r\n\r\n").utf8))
        return try receiveHead()
    }

    /// A frame: its opcode and payload.
    func receiveFrame() throws -> (opcode: Opcode?, payload: [UInt8]) {
        var opcode: Opcode?
        var length = 0
        let bytes = try receive { bytes in
            let decoded = bytes.withUnsafeBufferPointer { buffer in
                buffer.baseAddress.flatMap { FrameHeader.decode($0, count: buffer.count) }
            }
            guard let decoded else { return nil }
            opcode = decoded.header.opcode
            length = decoded.length
            let whole = decoded.length + Int(decoded.header.payloadLength)
            return bytes.count >= whole ? whole : nil
        }
        return (opcode, Array(bytes[length...]))
    }

    /// Sends a frame, masked with zeros.
    func sendFrame(_ opcode: Opcode, _ payload: [UInt8]) throws {
        let header = FrameHeader(
            opcode: opcode, payloadLength: UInt64(payload.count), maskKey: 0)
        try send(header.encoded() + payload)
    }

    /// Whether a message comes back as it was sent.
    func echoes(_ text: String) throws -> Bool {
        try sendFrame(.text, Array(text.utf8))
        let frame = try receiveFrame()
        return frame.opcode == .text && frame.payload == Array(text.utf8)
    }

    var facts: TLSFacts? { session?.facts() }
    var ticket: ResumptionTicket? { session?.resumptionTicket() }

    private func shakeHands(
        _ context: TLSContext, _ holdsFinished: Bool, _ ticket: ResumptionTicket?
    ) throws {
        let records = RecordBuffers()
        self.records = records
        session = TLSSession.connecting(
            context, through: records, serverName: "localhost", resuming: ticket)
        var wire: [UInt8] = []
        while true {
            let progress = wire.withUnsafeBufferPointer { bytes in
                if let start = bytes.baseAddress { records.setInput(start, count: bytes.count) }
                let progress = session?.handshake() ?? .failed
                if progress == .done { open() }
                return progress
            }
            if progress == .done && holdsFinished { return }
            try transmit(takeRecords())
            if progress == .done { return }
            if progress == .failed {
                throw VisitorFault(description: session?.takeError().description ?? "TLS")
            }
            wire = try receiveRaw()
            if wire.isEmpty { throw VisitorFault(description: "the handshake broke off") }
        }
    }

    private func receiveSome() throws {
        let wire = try receiveRaw()
        if wire.isEmpty {
            hasEnded = true
            return
        }
        if session == nil {
            waiting += wire
            return
        }
        wire.withUnsafeBufferPointer { bytes in
            if let start = bytes.baseAddress { records?.setInput(start, count: bytes.count) }
            open()
        }
        try transmit(takeRecords())
    }

    private func open() {
        guard let remaining = records?.inputRemaining, remaining > 0 else { return }
        let capacity = remaining + 32_768
        waiting += [UInt8](unsafeUninitializedCapacity: capacity) { bytes, count in
            guard let start = bytes.baseAddress,
                let outcome = session?.readAll(into: start, capacity: capacity)
            else { return }
            count = outcome.count
            if outcome.status == .closed { wasClosedByNotify = true }
            if outcome.status == .failed { reasons = session?.takeError().reasons ?? [] }
        }
    }

    private func takeRecords() -> [UInt8] {
        guard let records else { return [] }
        defer { records.clearOutput() }
        return Array(UnsafeBufferPointer(start: records.output, count: records.outputCount))
    }

    private func transmit(_ bytes: [UInt8]) throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            let result = rest.withUnsafeBufferPointer { buffer in
                buffer.baseAddress.flatMap { socket?.send($0, count: buffer.count) } ?? .ended
            }
            switch result {
            case .moved(let count): rest = rest.dropFirst(count)
            case .blocked: try Self.wait(socket?.descriptor ?? -1, POLLOUT)
            case .ended, .failed: throw VisitorFault(description: "nobody takes what is sent")
            }
        }
    }

    /// What comes next; empty at the end of the stream.
    private func receiveRaw() throws -> [UInt8] {
        var piece = [UInt8](repeating: 0, count: 65_536)
        while true {
            let result = piece.withUnsafeMutableBufferPointer { bytes in
                bytes.baseAddress.flatMap { socket?.receive(into: $0, count: bytes.count) }
                    ?? .ended
            }
            switch result {
            case .moved(let count): return Array(piece[..<count])
            case .ended, .failed: return []
            case .blocked: try Self.wait(socket?.descriptor ?? -1, POLLIN)
            }
        }
    }

    private static func wait(_ descriptor: Int32, _ events: Int32) throws {
        var waitFor = pollfd(fd: descriptor, events: Int16(events), revents: 0)
        guard poll(&waitFor, 1, patienceMilliseconds) == 1 else {
            throw VisitorFault(description: "timed out")
        }
    }
}
