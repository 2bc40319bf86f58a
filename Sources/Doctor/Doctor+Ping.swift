// SPDX-License-Identifier: Apache-2.0
import Wire

extension Doctor {
    /// What is kept of a message that is not whole: nobody shall fill the memory.
    private static let messageBytesMax = 256 << 20

    /// A ping, and, where asked for, another after silence.
    @discardableResult
    mutating func ping(_ line: Line) -> Bool {
        guard answersPing(line) else { return false }
        if let seconds = options.idleSeconds {
            let start = Line.now()
            while Line.now() < start + seconds {
                if let close = nextClose(line) {
                    died(close, after: Line.now() - start)
                    return false
                }
                if line.waiting.count > Self.messageBytesMax {
                    died("a message without an end", after: Line.now() - start)
                    return false
                }
                if !line.receive(until: start + seconds) && line.hasEnded {
                    died(nextClose(line) ?? "the connection ends", after: Line.now() - start)
                    return false
                }
            }
            if let how = pong(line, until: Line.now() + options.timeoutSeconds) {
                died(how.words, after: seconds)
                return false
            }
            good(.idle, "open after \(Self.text(seconds)) s of silence")
        }
        // Goes as a client should: 1001, since the page is left.
        line.send(frame(.close, [0x03, 0xE9]))
        return true
    }

    private static func text(_ seconds: Double) -> String {
        let tenths = (seconds * 10).rounded() / 10
        return tenths == tenths.rounded() ? String(Int(tenths)) : String(tenths)
    }

    private mutating func died(_ how: String, after seconds: Double) {
        let when =
            seconds < 0.05
            ? "as soon as it is silent" : "after \(Self.text(seconds)) s of silence"
        // Sluice says so itself where the idle limit of a route is over, for which pings do not count.
        if how.contains("idle for too long") {
            bad(
                .idle, how, .diesIdle, "The socket opens and is gone \(when): \(how).",
                "If that is a Sluice, raise idle of its route, or have client or app send a message more often"
                    + " than that: pings do not count for it.")
            return
        }
        bad(
            .idle, how, .diesIdle, "The socket opens and is gone \(when): \(how).",
            "Send pings more often than that, or raise the idle limit of the server or of the proxy"
                + " in between (nginx: proxy_read_timeout, 60 s by default).")
    }

    func frame(_ opcode: Opcode, _ payload: [UInt8]) -> [UInt8] {
        let key = UInt32.random(in: .min ... .max)
        let header = FrameHeader(
            opcode: opcode, payloadLength: UInt64(payload.count), maskKey: key)
        var masked = payload
        masked.withUnsafeMutableBufferPointer { bytes in
            if let start = bytes.baseAddress {
                FrameMask.apply(key, phase: 0, to: start, count: bytes.count)
            }
        }
        return header.encoded() + masked
    }

    /// Takes whole frames off the line.
    ///
    /// - Returns: the opcode and payload of the next, nil where none is whole.
    private func nextFrame(_ line: Line) -> (opcode: UInt8, payload: [UInt8])? {
        let bytes = line.waiting
        let decoded = bytes.withUnsafeBufferPointer { buffer in
            buffer.baseAddress.flatMap { FrameHeader.decode($0, count: buffer.count) }
        }
        guard let (header, length) = decoded,
            header.payloadLength <= UInt64(bytes.count - length)
        else { return nil }
        let count = Int(header.payloadLength)
        line.take(length + count)
        return (header.opcodeBits, Array(bytes[length..<(length + count)]))
    }

    /// What a Close among the waiting frames says; others are dropped.
    private func nextClose(_ line: Line) -> String? {
        while let frame = nextFrame(line) {
            if frame.opcode == Opcode.close.rawValue { return Self.close(frame.payload) }
            if frame.opcode == Opcode.ping.rawValue {
                line.send(self.frame(.pong, frame.payload))
            }
        }
        return nil
    }

    private static func close(_ payload: [UInt8]) -> String {
        guard payload.count >= 2 else { return "Close without a code" }
        let code = Int(payload[0]) << 8 | Int(payload[1])
        let reason = String(decoding: payload.dropFirst(2), as: UTF8.self)
        let words =
            switch code {
            case 1000: "normal closure"
            case 1001: "going away"
            case 1002: "it holds something for an error in the protocol"
            case 1003: "data of a kind that it can't take"
            case 1005, 1006, 1015: "a code that must not be sent"
            case 1007: "data that is not what it says"
            case 1008: "against its policy"
            case 1009: "message too big"
            case 1010: "it misses an extension"
            case 1011: "an error in the server"
            case 1012: "restarting"
            case 1013: "try again later"
            case 1014: "the app behind the proxy is gone"
            case 3000: "unauthorized"
            case 3003: "forbidden"
            case 3000..<4000: "a code of a library"
            case 4000..<5000: "a code of the application"
            default: "a code that nobody has registered"
            }
        return "Close \(code) (\(words))" + (reason.isEmpty ? "" : ": \(reason)")
    }

    /// Why no pong came.
    struct Silence {
        let words: String
        var isClose = false
    }

    private mutating func answersPing(_ line: Line) -> Bool {
        guard let how = pong(line, until: answerDeadline) else {
            good(.ping, "answered")
            return true
        }
        if how.isClose {
            bad(
                .ping, how.words, .closedAtOnce,
                "The socket opens and is closed at once: \(how.words).",
                "Look into the app's log: it accepts the socket and then does not want it.")
        } else if line.hasEnded {
            bad(
                .ping, how.words, .closedAtOnce,
                "The socket opens, and the connection ends at once without a Close.",
                "Look into the app's log: it may have crashed, or a proxy in between cuts it.")
        } else {
            bad(
                .ping, how.words, .noPong, "The socket opens but does not answer a ping.",
                "The server has to answer pings (RFC 6455 §5.5.2): see whether it is stuck.")
        }
        return false
    }

    /// Sends a ping and waits for its pong.
    ///
    /// - Returns: nil when it came, else why not.
    func pong(_ line: Line, until limit: Double) -> Silence? {
        let payload = (0..<8).map { _ in UInt8.random(in: .min ... .max) }
        line.send(frame(.ping, payload))
        while true {
            while let frame = nextFrame(line) {
                if frame.opcode == Opcode.pong.rawValue && frame.payload == payload { return nil }
                if frame.opcode == Opcode.close.rawValue {
                    return Silence(words: Self.close(frame.payload), isClose: true)
                }
                if frame.opcode == Opcode.ping.rawValue {
                    line.send(self.frame(.pong, frame.payload))
                }
            }
            if line.waiting.count > Self.messageBytesMax { break }
            if !line.receive(until: limit) {
                if line.hasEnded && nextPongOrClose(line) { continue }
                break
            }
        }
        return Silence(words: line.hasEnded ? "the connection ends" : "no answer to a ping")
    }

    /// Whether something whole is still to be looked at after the end.
    private func nextPongOrClose(_ line: Line) -> Bool {
        let bytes = line.waiting
        return bytes.withUnsafeBufferPointer { buffer in
            guard let start = buffer.baseAddress,
                let (header, length) = FrameHeader.decode(start, count: buffer.count)
            else { return false }
            return header.payloadLength <= UInt64(buffer.count - length)
        }
    }
}
