// SPDX-License-Identifier: Apache-2.0
import Wire

extension FuzzTarget {
    /// A PROXY header never takes more than was given, is the same however it arrives and whatever
    /// stands behind it, and what is written is read back (proxy-protocol.txt §2).
    static let proxyHeader = FuzzTarget(
        name: "proxy-header", inputBytesMax: 600,
        words: [
            "PROXY ", "TCP4 ", "TCP6 ", "UNKNOWN", "\r\n", "255.255.255.255", "2001:db8::1",
            " 443 80\r\n",
            "65535", "\r\n\r\n\u{00}\r\nQUIT\n", "!\u{11}\u{00}\u{0C}", "!!\u{00}\u{24}",
            "!1\u{00}",
            " \u{00}\u{00}\u{00}",
        ].map { Array($0.utf8) },
        seeds: proxySeeds
    ) { bytes throws(BrokenProperty) in
        let input = Array(bytes)
        let whole = ProxyHeader.read(input)
        try requireEqual(
            PlainProxyReading(input), PlainProxyReading(whole), "The header is read as plainly.")
        // A header arrives byte by byte: once it is settled it stays so, and not before.
        var settled: Int?
        for count in 0...input.count {
            let part = ProxyHeader.read(Array(input[..<count]))
            if let settled {
                try requireEqual(part, whole, "What was settled at \(settled) stays, at \(count).")
            } else if part != .needsMore {
                settled = count
                try requireEqual(part, whole, "What follows changes nothing, at \(count).")
            }
            if case .complete(let length, _) = part {
                try require(1...count ~= length, "\(length) of \(count) bytes are taken.")
                try require(length == settled, "A header is whole with its last byte.")
            }
        }
        try require(
            whole != .needsMore || input.count < ProxyHeader.byteCountMax,
            "Nothing is waited for behind the most bytes that a header has.")
        try requireWritten(input)
    }

    private static let proxySeeds: [[UInt8]] = {
        let lines = [
            "PROXY TCP4 192.0.2.7 10.0.0.1 4711 443\r\nGET",
            "PROXY TCP6 2001:db8::1 ::1 1 65535\r\n",
            "PROXY UNKNOWN ffff:f...f:ffff 1 2\r\n", "PROXY UNKNOWN\r\n", "PROXY TCP4 a b 0 01\r\n",
            "PROXY " + String(repeating: "x", count: 110),
        ].map { Array($0.utf8) }
        let signature: [UInt8] = [13, 10, 13, 10, 0, 13, 10, 0x51, 0x55, 0x49, 0x54, 10]
        let addresses = (0..<40).map { UInt8($0) }
        return lines + [
            signature + [0x21, 0x11, 0, 12] + addresses,
            signature + [0x21, 0x21, 0, 40] + addresses,
            signature + [0x20, 0, 0, 0, 0x16], signature + [0x21, 0x31, 0, 2, 0, 0],
            signature + [0x21, 0x11, 0xFF, 0xFF], signature + [0x21, 0x11, 0, 4, 1, 2, 3, 4],
        ]
    }()
}

/// The outcome without its words: the length taken, and who connected.
private struct PlainProxyReading: Equatable {
    enum Kind { case needsMore, failed, complete }

    var kind: Kind
    var length = 0
    var source = ProxyHeader.Source.none

    init(_ header: ProxyHeader) {
        switch header {
        case .needsMore: kind = .needsMore
        case .failed: kind = .failed
        case .complete(let length, let source):
            kind = .complete
            self.length = length
            self.source = source
        }
    }

    /// Reads plainly: version 2 by its places, version 1 by its words.
    init(_ bytes: [UInt8]) {
        let signature: [UInt8] = [13, 10, 13, 10, 0, 13, 10, 0x51, 0x55, 0x49, 0x54, 10]
        kind = .failed
        if bytes.first != 13 {
            readLine(bytes)
            return
        }
        guard bytes.starts(with: signature.prefix(bytes.count)) else { return }
        guard bytes.count >= 16 else {
            kind = .needsMore
            return
        }
        let total = 16 + Int(bytes[14]) * 256 + Int(bytes[15])
        guard bytes[12] >> 4 == 2, total <= ProxyHeader.byteCountMax else { return }
        guard bytes.count >= total else {
            kind = .needsMore
            return
        }
        guard bytes[12] & 15 < 2 else { return }
        let isProxy = bytes[12] & 15 == 1
        func number(_ range: Range<Int>) -> UInt64 {
            bytes[range].reduce(0) { $0 * 256 + UInt64($1) }
        }
        if isProxy && bytes[13] == 0x11 {
            guard total >= 28 else { return }
            source = .ipv4(UInt32(number(16..<20)), port: UInt16(number(24..<26)))
        } else if isProxy && bytes[13] == 0x21 {
            guard total >= 52 else { return }
            source = .ipv6(
                high: number(16..<24), low: number(24..<32), port: UInt16(number(48..<50)))
        }
        kind = .complete
        length = total
    }

    private mutating func readLine(_ bytes: [UInt8]) {
        guard bytes.starts(with: Array("PROXY ".utf8).prefix(bytes.count)) else { return }
        guard let end = bytes.prefix(107).firstIndex(of: 10) else {
            kind = bytes.count < 107 ? .needsMore : .failed
            return
        }
        guard bytes[end - 1] == 13,
            let line = String(validating: bytes[..<(end - 1)], as: UTF8.self)
        else { return }
        let words = line.unicodeScalars.split(separator: " ", omittingEmptySubsequences: false)
            .map(String.init)
        if words[1] != "UNKNOWN" {
            guard words.count == 6, ["TCP4", "TCP6"].contains(words[1]),
                let port = UInt16(words[4]),
                let other = UInt16(words[5]), String(port) == words[4], String(other) == words[5],
                words[2].unicodeScalars.contains(":") == (words[1] == "TCP6")
            else { return }
            source = .text(host: words[2], port: port)
        }
        kind = .complete
        length = end + 1
    }
}

/// States that a header with addresses made from the bytes is read back as it was written.
private func requireWritten(_ bytes: [UInt8]) throws(BrokenProperty) {
    var input = bytes.withUnsafeBytes { FuzzInput($0) }
    func number(_ count: Int) -> UInt64 {
        input.takeFirst(count).reduce(0) { $0 << 8 | UInt64($1) }
    }
    func source() -> ProxyHeader.Source {
        switch input.takeChoice() % 3 {
        case 0: .ipv4(UInt32(number(4)), port: UInt16(number(2)))
        case 1: .ipv6(high: number(8), low: number(8), port: UInt16(number(2)))
        default: .none
        }
    }
    let (from, to) = (source(), source())
    let name = HeadReading.text(input.content)
    let security = ProxyHeader.Security(
        version: "TLSv1.3", cipher: "TLS_AES_128_GCM_SHA256", serverName: name,
        applicationProtocol: name.isEmpty ? nil : "http/1.1")
    for version in [ProxyHeader.Version.one, .two] {
        let written = ProxyHeader.bytes(version, from: from, to: to, security: security)
        guard case .complete(written.count, let source) = ProxyHeader.read(written + [1, 2]) else {
            throw BrokenProperty("A header of ours is refused: \(written)")
        }
        let isKnown = from != .none && to != .none
        try require((source != .none) == isKnown, "Addresses are said where both are known.")
        if version == .two, isKnown {
            try require(
                source == from || source == mapped(from), "The source is read as it was written.")
        }
    }
}

/// An IPv4 address as IPv6 has it (RFC 4291 §2.5.5.2).
private func mapped(_ source: ProxyHeader.Source) -> ProxyHeader.Source {
    guard case .ipv4(let address, let port) = source else { return source }
    return .ipv6(high: 0, low: 0xFFFF_0000_0000 | UInt64(address), port: port)
}
