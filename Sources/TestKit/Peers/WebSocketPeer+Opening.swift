// SPDX-License-Identifier: Apache-2.0

extension WebSocketPeer {
    /// As client: does the opening handshake, with `early` bytes in the same send; returns the
    /// response's head and leaves what came behind it to the next read.
    @discardableResult
    public func open(_ opening: Opening = Opening(), early: [UInt8] = []) throws -> HTTPHead {
        try send(opening.bytes + early)
        let head = try readHead()
        guard head.status == 101 else { throw PeerError("expected a 101, got \(head)") }
        let expected = acceptValue(forKey: opening.key)
        guard head["Sec-WebSocket-Accept"] == expected else {
            throw PeerError("expected Sec-WebSocket-Accept \(expected), got \(head)")
        }
        return head
    }

    /// As client: sends a request and reads the refusal to it.
    public func refusal(of opening: Opening) throws -> HTTPResponse {
        try send(opening.bytes)
        return try readResponse()
    }

    /// As server: reads the opening handshake and answers 101, with `extra` fields and `early`
    /// bytes glued to it in the same send.
    @discardableResult
    public func accept(extra: [(name: String, value: String)] = [], early: [UInt8] = []) throws
        -> HTTPHead
    {
        let head = try readHead()
        let key = head["Sec-WebSocket-Key"] ?? ""
        try send(WebSocketPeer.switching(key: key, extra: extra) + early)
        return head
    }

    /// As server: the bytes of a right 101 for this key.
    public static func switching(key: String, extra: [(name: String, value: String)] = [])
        -> [UInt8]
    {
        var text = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
        text += "Connection: Upgrade\r\nSec-WebSocket-Accept: \(acceptValue(forKey: key))\r\n"
        for field in extra { text += "\(field.name): \(field.value)\r\n" }
        return Array((text + "\r\n").utf8)
    }

    /// As server: echoes frames until a Close has been answered or the connection has ended.
    public func echo(answersClose: Bool = true) throws {
        while let frame = try readFrameOrEnd(by: .after(.seconds(600))) {
            var answer = frame
            answer.maskKey = nil
            if frame.opcode == 9 { answer.opcode = 10 }
            if frame.opcode == 8 && !answersClose { continue }
            if frame.opcode != 10 { try send(answer) }
            if frame.opcode == 8 { break }
        }
        try stream.halfClose()
        _ = try readUntilEnd()
    }
}
