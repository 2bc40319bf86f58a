// SPDX-License-Identifier: Apache-2.0

import Testing
import Wire

/// Heads as text, and parsers fed with pieces.
enum HeadBytes {
    /// What a browser sends, about 600 bytes.
    static let browser: [UInt8] = lines([
        "GET /chat/room%201?token=a%2Fb HTTP/1.1",
        "Host: localhost:8443",
        "Connection: keep-alive, Upgrade",
        "Pragma: no-cache",
        "Cache-Control: no-cache",
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
        "Upgrade: websocket",
        "Origin: https://localhost:8443",
        "Sec-WebSocket-Version: 13",
        "Accept-Encoding: gzip, deflate, br, zstd",
        "Accept-Language: en-GB,en;q=0.9",
        "Cookie: session=0123456789abcdef; theme=dark",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
        "Sec-WebSocket-Protocol: chat, superchat",
    ])

    /// The 101 that answers it.
    static let switching: [UInt8] = lines([
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
        "Sec-WebSocket-Extensions: permessage-deflate",
        "Sec-WebSocket-Protocol: chat",
    ])

    static let accept = Array("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".utf8)

    static func lines(_ lines: [String]) -> [UInt8] {
        Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8)
    }

    static func request(
        _ requestLine: String = "GET / HTTP/1.1", _ fields: String...
    ) -> [UInt8] {
        lines([requestLine, "Host: a.example"] + fields)
    }

    static func parse(_ bytes: [UInt8], limits: HeadLimits = HeadLimits()) throws -> RequestHead {
        var parser = RequestHeadParser(limits: limits)
        switch parser.take(bytes) {
        case .complete(let head, _): return head
        case .failed(let fault): throw fault
        case .needsMore: throw HeadFault(status: 0, sentence: "incomplete")
        }
    }

    static func parseResponse(_ bytes: [UInt8]) throws -> ResponseHead {
        var parser = ResponseHeadParser()
        switch parser.take(bytes) {
        case .complete(let head, _): return head
        case .failed(let fault): throw fault
        case .needsMore: throw HeadFault(status: 0, sentence: "incomplete")
        }
    }
}

extension RequestHeadParser {
    mutating func take(_ bytes: some Collection<UInt8>) -> Progress {
        Array(bytes).withUnsafeBytes { append($0) }
    }

    /// Feeds one piece after the other until one settles the matter.
    mutating func take(pieces: [ArraySlice<UInt8>]) -> Progress {
        for piece in pieces {
            let progress = take(piece)
            guard case .needsMore = progress else { return progress }
        }
        return .needsMore
    }
}

extension ResponseHeadParser {
    mutating func take(_ bytes: some Collection<UInt8>) -> Progress {
        Array(bytes).withUnsafeBytes { append($0) }
    }
}

extension RequestHeadParser.Progress {
    var fault: HeadFault? {
        if case .failed(let fault) = self { fault } else { nil }
    }

    var head: RequestHead? {
        if case .complete(let head, _) = self { head } else { nil }
    }

    var isWaiting: Bool {
        if case .needsMore = self { true } else { false }
    }
}

extension ResponseHeadParser.Progress {
    var fault: HeadFault? {
        if case .failed(let fault) = self { fault } else { nil }
    }

    var head: ResponseHead? {
        if case .complete(let head, _) = self { head } else { nil }
    }

    var isWaiting: Bool {
        if case .needsMore = self { true } else { false }
    }
}

extension FieldList {
    /// The fields as text, for comparing.
    var texts: [String] {
        fields.map {
            String(decoding: name(of: $0), as: UTF8.self) + "="
                + String(decoding: value(of: $0), as: UTF8.self)
        }
    }
}
