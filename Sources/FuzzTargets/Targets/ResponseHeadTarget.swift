// SPDX-License-Identifier: Apache-2.0
import Wire

extension FuzzTarget {
    /// Responses, cut anywhere, are read as a plain reader reads the whole; what is accepted is written
    /// and read back the same, and those who read on trap nowhere (RFC 9112 §4, RFC 6455 §4.1).
    static let responseHead = FuzzTarget(
        name: "response-head", inputBytesMax: 2_048, words: responseWords.map { Array($0.utf8) },
        seeds: responseTexts.flatMap { text in
            let lines = text.replacing("\n", with: "\r\n").utf8
            return [
                FuzzInput.made(lines, choices: [0, 3, 50, 0]),
                FuzzInput.made(lines, choices: [1, 0, 9, 200]),
            ]
        }
    ) { bytes throws(BrokenProperty) in
        var input = FuzzInput(bytes)
        let limits = HeadLimits.chosen(input.takeChoice() & 1 != 0)
        let cut = input.takeCut()
        let stream = input.content
        var accepted: [ResponseHead] = []
        let parser = ResponseHeadParser(limits: limits)
        let whole = try HeadReading.reading([stream], with: parser, limits, &accepted)
        var again: [ResponseHead] = []
        try requireEqual(
            HeadReading.reading(cut.pieces(of: stream), with: parser, limits, &again), whole,
            "How responses are cut makes no difference.")
        try whole.requirePlain(stream) { plainHead($0, limits) }
        for head in accepted {
            try requireWritten(head)
            try requireJudged(head)
        }
    }

    private static let responseWords = [
        "HTTP/1.1 101 Switching Protocols\r\n", "HTTP/1.1 200 OK\r\n", "HTTP/1.0 204\r\n",
        "HTTP/1.1 100 \r\n\r\n", "HTTP/1.1 999 ", "HTTP/1.1 099 ", "\r\n", "\r\n\r\n",
        "Upgrade: websocket\r\n", "Connection: upgrade\r\n", "Connection: close\r\n",
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n",
        "Sec-WebSocket-Protocol: chat\r\n",
        "Sec-WebSocket-Extensions: permessage-deflate\r\n", "x-unknown; a=\"b\"",
        "Content-Length: 0\r\n",
        "Content-Length: 12\r\n", "Transfer-Encoding: chunked\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        ",", ";", "\"", "\t", " ",
    ]

    private static let responseTexts = [
        "HTTP/1.1 101 Switching Protocols\nUpgrade: websocket\nConnection: Upgrade\n"
            + "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\n"
            + "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\n"
            + "Sec-WebSocket-Protocol: chat\n\n",
        "HTTP/1.1 100 Continue\n\nHTTP/1.1 103\nLink: </a>\n\nHTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
        "HTTP/1.1 600 \u{1}\nX-A \t: \u{7f}b\n\n", "HTTP/1.0 502 Bad \u{e9}\nConnection: close\n\n",
        "HTTP/1.1 204 \nDate:\n\n",
        "HTTP/1.1 200 \nTransfer-Encoding: , chunked\nX-A:\t a \n\n", "HTTP/1.1 099 No\n\n",
        "HTTP/1.1 200 OK\nContent-Length: 1\nTransfer-Encoding: chunked\n\n",
    ]
}

/// A response as a plain reader finds it.
private func plainHead(_ stream: ArraySlice<UInt8>, _ limits: HeadLimits) -> HeadReading.PlainHead {
    let plain = PlainFields(Array(stream), limits, hasFirstLine: true, isAnswer: true)
    let line = plain.firstLine.map(statusLine)
    return HeadReading.PlainHead(
        isLawful: stream.first ?? 0x48 == 0x48 && line.map { $0 != nil } ?? true,
        firstLine: line ?? nil, fields: plain)
}

/// Version, status and reason; nil where the line is not lawful (RFC 9112 §4).
private func statusLine(_ line: [UInt8]) -> [String]? {
    let parts = line.split(separator: 32, maxSplits: 2, omittingEmptySubsequences: false)
    guard parts.count >= 2, parts[1].count == 3, parts[1].allSatisfy({ 0x30...0x39 ~= $0 }),
        let status = Int(HeadReading.text(parts[1])), status >= 100
    else { return nil }
    let version = HeadReading.text(parts[0])
    let reason = parts.count == 3 ? parts[2] : []
    guard ["HTTP/1.1", "HTTP/1.0"].contains(version), PlainFields.isValue(reason, true) else {
        return nil
    }
    return [version, String(status), HeadReading.text(reason)]
}

/// States that a head is written as it was read.
private func requireWritten(_ head: ResponseHead) throws(BrokenProperty) {
    var writer = HeadWriter(capacity: 64)
    writer.statusLine(of: head)
    writer.fields(of: head.fields, [], except: [], names: FieldNames())
    writer.end()
    // What Sluice writes of its own has no control characters at all, which an answer may have.
    let values = head.fields.fields.map { head.fields.value(of: $0) } + [head.reason[...]]
    if values.allSatisfy({ PlainFields.isValue($0, false) }) {
        var other = HeadWriter(capacity: 64)
        other.statusLine(head.status, reason: head.reason)
        for field in head.fields.fields {
            other.field(head.fields.name(of: field), head.fields.value(of: field))
        }
        other.end()
        try requireEqual(writer.bytes, other.bytes, "Both ways to write a head write the same.")
    }
    var parser = ResponseHeadParser(limits: .builtIn(bytesMax: 1 << 20))
    let bytes = writer.bytes
    guard case .complete(let again, bytes.count) = bytes.withUnsafeBytes({ parser.append($0) })
    else { throw BrokenProperty("A head that was accepted is refused when it is written again.") }
    try require(
        again.status == head.status && again.reason == head.reason,
        "The status line is written as it was read.")
    try requireEqual(
        HeadReading.texts(again.fields), HeadReading.texts(head.fields),
        "The fields are written as they were read.")
}

/// What a browser asked for, to which the response is judged to be the answer.
private let offered: UpgradeRequest? = {
    let lines = [
        "GET / HTTP/1.1", "Host: a", "Connection: Upgrade", "Upgrade: websocket",
        "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Extensions: permessage-deflate, x-unknown",
        "Sec-WebSocket-Protocol: chat, b",
    ]
    var parser = RequestHeadParser(limits: .builtIn)
    let bytes = Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8)
    guard case .complete(let head, _) = bytes.withUnsafeBytes({ parser.append($0) }) else {
        return nil
    }
    return try? UpgradeRequest.judge(head)
}()

/// States that the verdict on an answer names nothing that was not offered.
private func requireJudged(_ head: ResponseHead) throws(BrokenProperty) {
    guard let offered else { throw BrokenProperty("The request of the target is lawful.") }
    let verdict = UpgradeAnswer.judge(
        head, expectedAccept: Array("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".utf8), offered: offered)
    switch verdict {
    case .switching(let bits, let subprotocol, let extensions, _):
        try require(head.status == 101 && head.isHTTP11, "Only a 101 of HTTP/1.1 switches.")
        try require(
            subprotocol == nil || subprotocol == "chat" || subprotocol == "b",
            "A subprotocol was offered: \(String(describing: subprotocol))")
        try require(bits == 0 || extensions != nil, "Reserved bits belong to an extension.")
    case .ordinary(let framing):
        try require(head.status >= 200, "An ordinary answer is final.")
        try requireEqual(
            try? BodyFraming(response: head, to: .get), framing, "The framing is that of a GET.")
        try requireEqual(
            try? BodyFraming(response: head, to: .head), BodyFraming.none,
            "The answer to a HEAD has no body.")
    case .informational:
        try require(100..<200 ~= head.status, "An interim answer is a 1xx.")
    case .unproven(let sentence):
        try require(head.status == 101, "Only a 101 can prove a tunnel.")
        try require(!sentence.isEmpty, "A refusal has a sentence.")
    case .invalid(let sentence):
        try require(head.status != 101, "A 101 is no answer that is passed on.")
        try require(!sentence.isEmpty, "A refusal has a sentence.")
    }
}
