// SPDX-License-Identifier: Apache-2.0
import Router
import Wire

/// The parts that `Bench micro` times.
enum MicroParts {
    static func all() -> [MicroPart] {
        [
            scanner(frameBytes: 128), scanner(frameBytes: 65_536),
            mask(bytes: 128), mask(bytes: 65_536),
            routes(count: 10), routes(count: 100_000),
            requestHead(), upgrade(), responseHead(),
            addresses(count: 100_000), token(isKnown: false), token(isKnown: true),
        ]
    }

    /// One operation is one frame; scanned in reads of 64 KiB, as from a busy socket.
    private static func scanner(frameBytes: Int) -> MicroPart {
        let header = FrameHeader(
            opcode: .binary, payloadLength: UInt64(frameBytes), maskKey: 0x1234_5678)
        let frame = header.encoded() + [UInt8](repeating: 7, count: frameBytes)
        let framesPerRead = max(1, 65_536 / frame.count)
        let read = [[UInt8]](repeating: frame, count: framesPerRead).flatMap { $0 }
        let name = frameBytes >= 1024 ? "\(frameBytes / 1024) KiB" : "\(frameBytes) B"
        return MicroPart(name: "scan \(name) frames", bytes: frameBytes < 1024 ? frame.count : 0) {
            count in
            var scanner = FrameScanner(sender: .client, reservedBits: 0)
            var forwardable = 0
            read.withUnsafeBufferPointer { buffer in
                guard let bytes = buffer.baseAddress else { return }
                for _ in 0..<(count + framesPerRead - 1) / framesPerRead {
                    forwardable &+= scanner.scan(bytes, count: buffer.count).forwardable
                }
            }
            return forwardable &+ Int(truncatingIfNeeded: scanner.frames)
        }
    }

    private static func mask(bytes: Int) -> MicroPart {
        let name = bytes >= 1024 ? "\(bytes / 1024) KiB" : "\(bytes) B"
        return MicroPart(name: "mask \(name)", bytes: bytes) { count in
            var payload = [UInt8](repeating: 7, count: bytes + 1)
            payload.withUnsafeMutableBufferPointer { buffer in
                guard let start = buffer.baseAddress else { return }
                for round in 0..<count {
                    // Not at a word's border, as in a frame.
                    FrameMask.apply(
                        UInt32(truncatingIfNeeded: round), phase: round & 3, to: start + 1,
                        count: bytes)
                }
            }
            return Int(payload[bytes / 2])
        }
    }

    private static func routes(count routeCount: Int) -> MicroPart {
        let name = "route of \(routeCount)"
        guard let host = try? HostPattern(parsing: "*.example.com"),
            let table = try? RouteTable(
                (0..<routeCount).map { index in
                    RouteEntry(
                        host: host, path: try PathPattern(parsing: "/app/tenant\(index)/socket/*"),
                        place: "\(index)")
                })
        else { return MicroPart(name: name, bytes: 0) { _ in 0 } }
        let paths = (0..<64).map { index in
            Array("/app/tenant\(index * routeCount / 64)/socket/room".utf8)
        }
        return MicroPart(name: name, bytes: 0) { count in
            var sum = 0
            for round in 0..<count {
                sum &+= table.match(host: "a.example.com", path: paths[round & 63])?.index ?? -1
            }
            return sum
        }
    }

    private static let browserRequest = Array(
        """
        GET /Esv/ocp?token=0123456789abcdef HTTP/1.1\r
        Host: localhost:8443\r
        Connection: Upgrade\r
        Pragma: no-cache\r
        Cache-Control: no-cache\r
        User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
        Chrome/126.0.0.0 Safari/537.36\r
        Upgrade: websocket\r
        Origin: https://localhost:8443\r
        Sec-WebSocket-Version: 13\r
        Accept-Encoding: gzip, deflate, br\r
        Accept-Language: en-GB,en;q=0.9,de;q=0.8\r
        Cookie: session=2f1c9a6e7b3d4f5a8c0e1d2b3a4f5c6d\r
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r
        Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r
        \r\n
        """.utf8)

    private static func requestHead() -> MicroPart {
        let bytes = browserRequest
        return MicroPart(name: "parse request head", bytes: bytes.count) { count in
            var sum = 0
            for _ in 0..<count {
                var parser = RequestHeadParser(limits: .builtIn)
                if case .complete(let head, _) = bytes.withUnsafeBytes({ parser.append($0) }) {
                    sum &+= head.fields.fields.count
                }
            }
            return sum
        }
    }

    private static func upgrade() -> MicroPart {
        var parser = RequestHeadParser(limits: .builtIn)
        let bytes = browserRequest
        guard case .complete(let head, _) = bytes.withUnsafeBytes({ parser.append($0) }) else {
            return MicroPart(name: "judge upgrade", bytes: 0) { _ in 0 }
        }
        return MicroPart(name: "judge upgrade", bytes: 0) { count in
            var sum = 0
            for _ in 0..<count {
                sum &+= (try? UpgradeRequest.judge(head))?.key.count ?? 0
            }
            return sum
        }
    }

    private static func responseHead() -> MicroPart {
        let bytes = Array(
            """
            HTTP/1.1 101 Switching Protocols\r
            Upgrade: websocket\r
            Connection: Upgrade\r
            Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r
            \r\n
            """.utf8)
        return MicroPart(name: "parse response head", bytes: bytes.count) { count in
            var sum = 0
            for _ in 0..<count {
                var parser = ResponseHeadParser(limits: .builtIn)
                if case .complete(let head, _) = bytes.withUnsafeBytes({ parser.append($0) }) {
                    sum &+= head.status
                }
            }
            return sum
        }
    }
}
