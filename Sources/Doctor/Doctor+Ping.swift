// SPDX-License-Identifier: Apache-2.0
import Wire

extension Doctor {
    /// A ping, and, where asked for, another after silence.
    mutating func ping(_ line: Line) -> Bool {
        guard answersPing(line, "ping", until: answerDeadline) else { return false }
        good("ping", "answered")
        if let seconds = options.idleSeconds {
            let end = Line.now() + seconds
            while Line.now() < end {
                if let close = nextClose(line) {
                    died(close, seconds)
                    return false
                }
                if !line.receive(until: end) && line.hasEnded {
                    died("the connection ends", seconds)
                    return false
                }
            }
            guard answersPing(line, "idle", until: Line.now() + options.timeoutSeconds) else {
                return false
            }
            good("idle", "open after \(Self.text(seconds)) s of silence")
        }
        // Goes as a client should: 1001, since the page is left.
        line.send(frame(.close, [0x03, 0xE9]))
        return true
    }

    private static func text(_ seconds: Double) -> String {
        seconds == seconds.rounded() ? String(Int(seconds)) : String(seconds)
    }

    private mutating func died(_ how: String, _ seconds: Double) {
        bad(
            "idle", how, .diesIdle,
            "The socket does not survive \(Self.text(seconds)) s of silence: \(how).",
            "Send pings more often than that, or raise the idle limit of the server or of the proxy"
                + " in between (nginx: proxy_read_timeout, 60 s by default).")
    }

    private func frame(_ opcode: Opcode, _ payload: [UInt8]) -> [UInt8] {
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
            case 1002: "protocol error"
            case 1003: "data of a kind it can't take"
            case 1007: "data that is not what it says"
            case 1008: "against its policy"
            case 1009: "message too big"
            case 1011: "an error in the server"
            case 1012: "restarting"
            case 1013: "try again later"
            case 1014: "the app behind the proxy is gone"
            default: "a code of the application"
            }
        return "Close \(code) (\(words))" + (reason.isEmpty ? "" : ": \(reason)")
    }

    private mutating func answersPing(
        _ line: Line, _ step: String, until limit: Double
    ) -> Bool {
        let payload = (0..<8).map { _ in UInt8.random(in: .min ... .max) }
        line.send(frame(.ping, payload))
        while true {
            while let frame = nextFrame(line) {
                if frame.opcode == Opcode.pong.rawValue && frame.payload == payload { return true }
                if frame.opcode == Opcode.close.rawValue {
                    let how = Self.close(frame.payload)
                    bad(
                        step, how, .closedAtOnce,
                        "The socket opens and is closed at once: \(how).",
                        "Look into the app's log: it accepts the socket and then does not want it.")
                    return false
                }
                if frame.opcode == Opcode.ping.rawValue {
                    line.send(self.frame(.pong, frame.payload))
                }
            }
            if line.waiting.count > 1 << 24 { break }
            if !line.receive(until: limit) {
                if line.hasEnded && nextPongOrClose(line) { continue }
                break
            }
        }
        if line.hasEnded {
            bad(
                step, "the connection ends", .closedAtOnce,
                "The socket opens, and the connection ends at once without a Close.",
                "Look into the app's log: it may have crashed, or a proxy in between cuts it.")
        } else {
            bad(
                step, "no answer", .noPong, "The socket opens but does not answer a ping.",
                "The server has to answer pings (RFC 6455 §5.5.2): see whether it is stuck.")
        }
        return false
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
