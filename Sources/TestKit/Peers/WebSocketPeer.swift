// SPDX-License-Identifier: Apache-2.0

/// A WebSocket peer that does exactly what a test says: as client, or as the server behind Sluice.
///
/// It never answers anything by itself: no Pong, no Close. Frames and bytes go out as given, and
/// what arrives is returned as it came.
public final class WebSocketPeer {
    /// The connection.
    public let stream: PeerStream
    /// Keeps the program running as long as a test holds an end of it.
    var program: ProxyFixture?

    /// A peer on an open connection.
    public init(_ stream: PeerStream) {
        self.stream = stream
    }

    /// A client connected to `address`, its TLS handshake done if `security` asks for one.
    public static func connect(
        to address: PeerAddress, security: ClientSecurity = .plain,
        receiveBufferBytes: Int32? = nil
    ) throws -> WebSocketPeer {
        let socket = try address.connect(receiveBufferBytes: receiveBufferBytes)
        return WebSocketPeer(try PeerStream(socket, records: security.makeRecords()))
    }

    // MARK: Sending

    /// Sends bytes as they are.
    public func send(_ bytes: [UInt8]) throws { try stream.send(bytes) }

    /// Sends text as it is.
    public func send(_ text: String) throws { try stream.send(Array(text.utf8)) }

    /// Sends a frame as it is: a client's test masks it itself.
    public func send(_ frame: Frame) throws { try stream.send(frame.bytes) }

    /// Sends bytes in pieces, each its own segment and TLS record.
    public func send(_ bytes: [UInt8], splitAt places: [Int]) throws {
        var start = 0
        for place in places + [bytes.count] where place > start {
            try stream.send(bytes[start..<place])
            start = place
        }
    }

    // MARK: Reading

    /// Reads exactly `count` bytes.
    public func read(_ count: Int, by deadline: Deadline = .after()) throws -> [UInt8] {
        while stream.buffered.count < count {
            guard try stream.fill(awaiting: "\(count) bytes", by: deadline) else {
                throw ended(before: "\(count) bytes")
            }
        }
        return stream.take(count)
    }

    /// Reads one frame, header and payload.
    public func readFrame(by deadline: Deadline = .after()) throws -> Frame {
        while true {
            if let (frame, length) = Frame.decode(stream.buffered) {
                _ = stream.take(length)
                return frame
            }
            guard try stream.fill(awaiting: "a frame", by: deadline) else {
                throw ended(before: "a frame")
            }
        }
    }

    /// Reads one frame; nil where the connection ends at a frame border.
    public func readFrameOrEnd(by deadline: Deadline = .after()) throws -> Frame? {
        if stream.buffered.isEmpty {
            guard try stream.fill(awaiting: "a frame or the end", by: deadline) else { return nil }
        }
        return try readFrame(by: deadline)
    }

    /// Reads up to and with the empty line of a head.
    public func readHead(by deadline: Deadline = .after()) throws -> HTTPHead {
        let end = Array("\r\n\r\n".utf8)
        while true {
            let bytes = stream.buffered
            if let border = bytes.firstRange(of: end) {
                return HTTPHead(stream.take(border.upperBound - bytes.startIndex))
            }
            guard try stream.fill(awaiting: "a head", by: deadline) else {
                throw ended(before: "a head")
            }
        }
    }

    /// Reads a response with its body (RFC 9112 §6.3).
    public func readResponse(by deadline: Deadline = .after()) throws -> HTTPResponse {
        let head = try readHead(by: deadline)
        if let length = head["Content-Length"].flatMap({ Int($0) }) {
            return HTTPResponse(head: head, body: try read(length, by: deadline))
        }
        if head["Transfer-Encoding"]?.lowercased() == "chunked" {
            return HTTPResponse(head: head, body: try readChunks(by: deadline))
        }
        return HTTPResponse(head: head, body: try readUntilEnd(by: deadline).bytes)
    }

    /// Reads until the other side ends, and tells how it did.
    public func readUntilEnd(by deadline: Deadline = .after()) throws
        -> (bytes: [UInt8], ending: Ending)
    {
        while try stream.fill(awaiting: "the connection's end", by: deadline) {}
        return (stream.take(stream.buffered.count), stream.ending ?? .reset)
    }

    /// Reads until the other side ends, which must send nothing more.
    public func expectEnd(by deadline: Deadline = .after()) throws -> Ending {
        let (bytes, ending) = try readUntilEnd(by: deadline)
        guard bytes.isEmpty else { throw PeerError("expected the end, got \(show(bytes))") }
        return ending
    }

    private func readChunks(by deadline: Deadline) throws -> [UInt8] {
        var body: [UInt8] = []
        while true {
            var line: [UInt8] = []
            while line.suffix(2) != [13, 10] { line += try read(1, by: deadline) }
            let digits = String(decoding: line.dropLast(2), as: UTF8.self).split(separator: ";")
            guard let first = digits.first, let count = Int(first, radix: 16) else {
                throw PeerError("not a chunk size: \(show(line))")
            }
            let chunk = try read(count + 2, by: deadline)
            if count == 0 { return body }
            body += chunk.dropLast(2)
        }
    }

    private func ended(before what: String) -> PeerError {
        let how = stream.ending.map { "\($0)" } ?? "unknown"
        return PeerError(
            "the connection ended (\(how)) before \(what); left: \(show(stream.buffered))")
    }
}
