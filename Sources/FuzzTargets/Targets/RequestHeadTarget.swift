// SPDX-License-Identifier: Apache-2.0
import Wire

extension FuzzTarget {
    /// Requests, cut anywhere, are read as a plain reader reads the whole; what is accepted is written
    /// and read back the same; and those who read on agree about host and path (RFC 9112 §3, §11.2).
    static let requestHead = FuzzTarget(
        name: "request-head", inputBytesMax: 2_048, words: requestWords.map { Array($0.utf8) },
        seeds: requestTexts.flatMap { text in
            let lines = text.replacing("\n", with: "\r\n").utf8
            return [
                FuzzInput.made(lines, choices: [0, 3, 50, 0]),
                FuzzInput.made(lines, choices: [1, 0, 9, 200]),
            ]
        }
    ) { bytes throws(BrokenProperty) in
        var input = FuzzInput(bytes)
        let choice = input.takeChoice()
        let limits = HeadLimits.chosen(choice & 1 != 0)
        let cut = input.takeCut()
        let stream = input.content
        var accepted: [RequestHead] = []
        let parser = RequestHeadParser(limits: limits)
        let whole = try HeadReading.reading([stream], with: parser, limits, &accepted)
        var again: [RequestHead] = []
        try requireEqual(
            HeadReading.reading(cut.pieces(of: stream), with: parser, limits, &again), whole,
            "How requests are cut makes no difference.")
        try whole.requirePlain(stream) { plainHead($0, limits) }
        for head in accepted {
            try requireWritten(head)
            try requireJudged(head)
        }
    }

    private static let requestWords = [
        "GET ", "POST ", "HEAD ", "CONNECT ", "OPTIONS * ", "TRACE ", " HTTP/1.1\r\n",
        " HTTP/1.0\r\n",
        "http://a.example/", "\r\n", "\r\n\r\n", "Host: a.example\r\n", "host:[::1]:8443\r\n",
        "Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n", "Transfer_Encoding: chunked\r\n",
        "Connection: close\r\n", "Connection: upgrade, x-a\r\n", "Upgrade: websocket\r\n",
        "Expect: 100-continue\r\n", "Sec-WebSocket-Version: 13\r\n",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "Sec-WebSocket-Extensions: ",
        "Sec-WebSocket-Protocol: ", "permessage-deflate; client_max_window_bits=\"10\"",
        "Origin: https://a.example\r\n", "Cookie: a=b; c=d\r\n", "X-Forwarded-For: 1.2.3.4\r\n",
        "/../", "/./", "%2e%2E", "%2F", "%00", "%41", "%", "?", "#", ";", "\\", "*", ":", "\t", " ",
    ]

    private static let requestTexts = [
        "GET /chat/room%201?token=a%2Fb HTTP/1.1\nHost: localhost:8443\nConnection: keep-alive, Upgrade\n"
            + "Upgrade: websocket\nOrigin: https://localhost:8443\nSec-WebSocket-Version: 13\n"
            + "Cookie: session=0123; theme=dark\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\n"
            + "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\n"
            + "Sec-WebSocket-Protocol: chat, superchat\n\n",
        "GET / HTTP/1.1\nHost: a\n\nGET /b HTTP/1.0\nhost:b:80\nConnection: keep-alive\n\nPUT /c ",
        "POST /a/../b/./c%41%2e HTTP/1.1\nHost: A.Example.:80\nContent-Length: 5\nExpect: 100-continue\n\n",
        "POST http://[::1]:80?q HTTP/1.1\nHost:\t[::1]:80 \nTransfer-Encoding: Chunked\nX-A:\n\n",
        "OPTIONS * HTTP/1.1\nHost: a_b\nConnection: close, X-A\nX-A: \u{e9}\nContent_Length: 3\n\n",
        "\n\nGET /a%2f..%5Cb/%2e%2E/\u{e9}?\u{e9} HTTP/1.1\nHost:\n\n\nPUT / HTTP/1.0\n\n",
        String(repeating: "\n", count: 17) + "GET / HTTP/1.0\n\n",
        "GET / HTTP/2.0\n\n", "CONNECT a:443 HTTP/1.1\nHost: a:443\n\n",
        "GET / HTTP/1.1\n folded\n\n",
    ]
}

/// A request as a plain reader finds it, behind the empty lines.
private func plainHead(_ stream: ArraySlice<UInt8>, _ limits: HeadLimits) -> HeadReading.PlainHead {
    let emptyBytes = emptyBytes(stream)
    let rest = Array(stream.dropFirst(emptyBytes ?? 0))
    let plain = PlainFields(rest, limits, hasFirstLine: true, isAnswer: false)
    let words = plain.firstLine.map { $0.split(separator: 32, omittingEmptySubsequences: false) }
    // A CR alone may still be the begin of an empty line.
    let isOpen = rest.isEmpty || rest == [13]
    var isLawful = emptyBytes != nil && (isOpen || PlainFields.isToken(rest.prefix(1)))
    if let words, isLawful { isLawful = isRequestLine(words, limits) }
    if isLawful, case .done = plain.end, let digit = words?.last?.last, 0x30...0x31 ~= digit {
        isLawful = hasPlainFraming(plain, isHTTP11: digit == 0x31)
    }
    return HeadReading.PlainHead(
        skipped: emptyBytes ?? 0, isLawful: isLawful,
        firstLine: words.map { $0.map(HeadReading.text) }, fields: plain)
}

/// How many bytes the empty lines in front of a request take (RFC 9112 §2.2); nil where they are too many.
private func emptyBytes(_ bytes: ArraySlice<UInt8>) -> Int? {
    var rest = bytes
    while rest.starts(with: [13, 10]) { rest = rest.dropFirst(2) }
    let count = bytes.count - rest.count
    return count + (rest.first == 13 ? 1 : 0) > 32 ? nil : count
}

/// `METHOD SP TARGET SP HTTP/1.x` (RFC 9112 §3).
private func isRequestLine(_ words: [ArraySlice<UInt8>], _ limits: HeadLimits) -> Bool {
    words.count == 3 && PlainFields.isToken(words[0]) && words[0].count <= 32
        && 1...limits.targetBytesMax ~= words[1].count
        && words[1].allSatisfy { $0 > 0x20 && $0 != 0x7F && $0 != 0x23 }
        && ["HTTP/1.1", "HTTP/1.0"].contains(HeadReading.text(words[2]))
}

/// One length in digits, or one `chunked` in HTTP/1.1, or none of them (RFC 9112 §6.3).
private func hasPlainFraming(_ fields: PlainFields, isHTTP11: Bool) -> Bool {
    let lengths = fields.values("content-length")
    let codings = fields.values("transfer-encoding")
    if lengths.count + codings.count > 1 { return false }
    if let coding = codings.first {
        return isHTTP11 && HeadReading.text(coding).lowercased() == "chunked"
    }
    return lengths.allSatisfy { 1...18 ~= $0.count && $0.allSatisfy { 0x30...0x39 ~= $0 } }
}

/// States that a head is written as it was read.
private func requireWritten(_ head: RequestHead) throws(BrokenProperty) {
    var writer = HeadWriter(capacity: 64)
    writer.method(of: head)
    writer.append(" ")
    writer.append(Array(head.target))
    writer.append(" HTTP/1.1\r\n")
    writer.fields(of: head.fields, [], except: [], names: FieldNames())
    writer.end()
    var parser = RequestHeadParser(limits: .builtIn(bytesMax: 1 << 20))
    let bytes = writer.bytes
    guard case .complete(let again, bytes.count) = bytes.withUnsafeBytes({ parser.append($0) })
    else { throw BrokenProperty("A head that was accepted is refused when it is written again.") }
    try require(
        again.method == head.method && again.target == head.target && again.verb == head.verb,
        "The request line is written as it was read.")
    try requireEqual(
        HeadReading.texts(again.fields), HeadReading.texts(head.fields),
        "The fields are written as they were read.")
}

/// States that whoever reads a head on neither traps nor differs from the others.
private func requireJudged(_ head: RequestHead) throws(BrokenProperty) {
    let upgrade = try? UpgradeRequest.judge(head)
    if let target = upgrade?.target { try requireCanonical(target) }
    guard let ordinary = try? OrdinaryRequest.judge(head) else { return }
    try requireCanonical(ordinary.target)
    if let host = ordinary.host {
        let text = host.isIPv6 ? "[\(host.name)]" : host.name
        try requireEqual(
            (try? HostName(parsing: Array(text.utf8)[...]))?.name, host.name,
            "A host is in its one form.")
    } else {
        try require(
            ordinary.authority.isEmpty && head.fields.count(of: "host") == (head.isHTTP11 ? 1 : 0)
                || !head.isHTTP11, "A request of HTTP/1.1 has a Host, if an empty one.")
    }
    guard let upgrade else { return }
    try require(
        ordinary.host?.name ?? "" == upgrade.host.name && ordinary.port == upgrade.host.port
            && ordinary.authority == upgrade.authority,
        "Both readers see the same host: \(String(describing: ordinary.host)), \(upgrade.host)")
    let (target, other) = (ordinary.target, upgrade.target)
    try require(
        target.path == other.path && target.sentPath == other.sentPath
            && target.query == other.query && target.hasEscapedSlash == other.hasEscapedSlash
            && target.hasOtherReadings == other.hasOtherReadings,
        "Both readers see the same target: \(target), \(other)")
}

/// States that the path which is routed is in its one form and climbs nowhere, and that the path which
/// goes on is the same to an upstream that makes it canonical.
private func requireCanonical(_ target: RequestTarget) throws(BrokenProperty) {
    let path = target.path
    try require(path.first == 0x2F, "A path begins with a slash.")
    try requireEqual(
        (try? RequestTarget(parsing: path))?.path, path, "A canonical path stays as it is.")
    let sent = try? RequestTarget(parsing: target.sentPath)
    try requireEqual(sent?.path, path, "What goes on has the same canonical form.")
    try requireEqual(sent?.sentPath, target.sentPath, "What goes on stays as it is.")
    for path in [path, target.sentPath] {
        for segment in path.split(separator: 0x2F) {
            let text = HeadReading.text(segment).lowercased().replacing("%2e", with: ".")
            try require(text != "." && text != "..", "No dot segment is routed, or goes on.")
        }
    }
    try requireEqual(
        target.hasEscapedSlash, EscapedSlash.isIn(target.sentPath), "An escaped slash is told.")
    let isPlain =
        !target.hasEscapedSlash && !path.contains(0x3B)
        && path.split(separator: 0x2F, omittingEmptySubsequences: false).dropFirst().dropLast()
            .allSatisfy { !$0.isEmpty }
    try requireEqual(target.hasOtherReadings, !isPlain, "What can be read otherwise is told.")
    guard target.hasOtherReadings else { return }
    for reading in EscapedSlash.readings(of: path) ?? [] {
        try require(reading.first == 0x2F, "Every reading of a path begins with a slash.")
    }
}
