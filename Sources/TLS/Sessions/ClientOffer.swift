// SPDX-License-Identifier: Apache-2.0

/// What a client offers in its ClientHello (RFC 8446 §4.1.2, RFC 5246 §7.4.1.2), read for the log of a
/// handshake that has failed.
///
/// Numbers of RFC 8701 (GREASE) are left out. Everything is bounded by what `description` prints of it.
public struct ClientOffer: Sendable, Equatable {
    /// The versions that it speaks, as it orders them.
    public private(set) var versions: [UInt16] = []
    /// Its cipher suites by their registered numbers (RFC 8446 §11), in the order in which it sent them.
    public private(set) var suites: [UInt16] = []
    /// Its groups for the key exchange; empty where it names none.
    public private(set) var groups: [UInt16] = []
    /// Its protocols (ALPN), as they came.
    public private(set) var protocols: [String] = []
    /// The name it asks for (SNI), as it came.
    public private(set) var serverName: String?

    /// Reads the records of a client's first flight.
    ///
    /// - Returns: nil where they are no whole ClientHello.
    public init?(records: UnsafeRawBufferPointer) {
        guard let message = Self.message(records) else { return nil }
        var hello = Reader(message[...])
        guard let legacy = hello.number(2), hello.take(32) != nil, hello.vector(1) != nil,
            let suites = hello.vector(2), hello.vector(1) != nil
        else { return nil }
        self.suites = Self.numbers(suites)
        versions = [UInt16(legacy)]
        guard var extensions = hello.vector(2) else { return }
        while let kind = extensions.number(2), let body = extensions.vector(2) { take(kind, body) }
    }

    /// The handshake message, out of the records that it is spread over.
    private static func message(_ records: UnsafeRawBufferPointer) -> [UInt8]? {
        var input = Reader(Array(records)[...])
        var message: [UInt8] = []
        while let kind = input.number(1), kind == 0x16, input.number(2) != nil,
            let body = input.vector(2)
        {
            message += body.rest
            var header = Reader(message[...])
            guard let type = header.number(1), let count = header.number(3) else { continue }
            if type != 1 { return nil }
            if header.rest.count >= count { return Array(header.rest.prefix(count)) }
        }
        return nil
    }

    private mutating func take(_ kind: Int, _ body: Reader) {
        var body = body
        switch kind {
        case 0:
            // server_name: a list of names with their kinds, 0 for a host (RFC 6066 §3).
            guard var names = body.vector(2), names.number(1) == 0, let name = names.vector(2)
            else {
                return
            }
            serverName = String(decoding: name.rest, as: UTF8.self)
        case 10: if let list = body.vector(2) { groups = Self.numbers(list) }
        case 16:
            guard var list = body.vector(2) else { return }
            while let name = list.vector(1) {
                protocols.append(String(decoding: name.rest, as: UTF8.self))
            }
        case 43: if let list = body.vector(1) { versions = Self.numbers(list) }
        default: break
        }
    }

    private static func numbers(_ list: Reader) -> [UInt16] {
        var list = list
        var numbers: [UInt16] = []
        while let number = list.number(2) {
            // RFC 8701 §2: both bytes are the same and end in A.
            let isGrease = number & 0x0F0F == 0x0A0A && number >> 8 == number & 0xFF
            if !isGrease { numbers.append(UInt16(number)) }
        }
        return numbers
    }

    /// Numbers and vectors of the presentation language (RFC 8446 §3), one after the other.
    private struct Reader {
        var rest: ArraySlice<UInt8>

        init(_ bytes: ArraySlice<UInt8>) { rest = bytes }

        mutating func number(_ bytes: Int) -> Int? {
            take(bytes)?.reduce(0) { $0 << 8 | Int($1) }
        }

        mutating func take(_ count: Int) -> ArraySlice<UInt8>? {
            guard rest.count >= count else { return nil }
            defer { rest = rest.dropFirst(count) }
            return rest.prefix(count)
        }

        /// What has its length in front, in so many bytes.
        mutating func vector(_ bytes: Int) -> Reader? {
            guard let count = number(bytes), let body = take(count) else { return nil }
            return Reader(body)
        }
    }
}

// MARK: Words

extension ClientOffer: CustomStringConvertible {
    /// How many of each are printed.
    static let printedMax = 8

    /// A clause for people; what the client chose is escaped and bounded.
    public var description: String {
        let name = serverName.map { "name \(Self.escaped($0))" } ?? "no name"
        return [
            name, Self.list("versions", versions.map(Self.version)),
            Self.list("suites", suites.map(Self.suite)),
            Self.list("groups", groups.map(Self.group)),
            Self.list("ALPN", protocols.map(Self.escaped)),
        ].joined(separator: ", ")
    }

    private static func list(_ what: String, _ all: [String]) -> String {
        if all.isEmpty { return "no \(what)" }
        let more = all.count > printedMax ? " and \(all.count - printedMax) more" : ""
        return "\(what) \(all.prefix(printedMax).joined(separator: " "))\(more)"
    }

    /// Letters that stand for themselves in every form of the log, the rest as `%NN`; at most 96 bytes.
    private static func escaped(_ text: String) -> String {
        var escaped = ""
        for byte in text.utf8.prefix(96) {
            let isPlain =
                byte > 0x20 && byte < 0x7F && byte != UInt8(ascii: "\\")
                && byte != UInt8(ascii: "%")
                && byte != UInt8(ascii: "\"")
            escaped += isPlain ? String(UnicodeScalar(byte)) : "%" + hexadecimal(UInt16(byte), 2)
        }
        return text.utf8.count > 96 ? escaped + "…" : escaped
    }

    private static func hexadecimal(_ number: UInt16, _ digits: Int) -> String {
        let text = String(number, radix: 16, uppercase: true)
        return String(repeating: "0", count: max(0, digits - text.count)) + text
    }

    private static func version(_ number: UInt16) -> String {
        switch number {
        case 0x0300: "SSLv3"
        case 0x0301: "TLSv1.0"
        case 0x0302: "TLSv1.1"
        case 0x0303: "TLSv1.2"
        case 0x0304: "TLSv1.3"
        default: "0x" + hexadecimal(number, 4)
        }
    }

    private static func suite(_ number: UInt16) -> String {
        suiteNames[number] ?? "0x" + hexadecimal(number, 4)
    }

    /// Those of the IANA registry that clients still offer, by OpenSSL's names for TLS 1.2.
    private static let suiteNames: [UInt16: String] = [
        0x1301: "TLS_AES_128_GCM_SHA256", 0x1302: "TLS_AES_256_GCM_SHA384",
        0x1303: "TLS_CHACHA20_POLY1305_SHA256", 0x1304: "TLS_AES_128_CCM_SHA256",
        0xC02B: "ECDHE-ECDSA-AES128-GCM-SHA256", 0xC02C: "ECDHE-ECDSA-AES256-GCM-SHA384",
        0xC02F: "ECDHE-RSA-AES128-GCM-SHA256", 0xC030: "ECDHE-RSA-AES256-GCM-SHA384",
        0xCCA8: "ECDHE-RSA-CHACHA20-POLY1305", 0xCCA9: "ECDHE-ECDSA-CHACHA20-POLY1305",
        0xC009: "ECDHE-ECDSA-AES128-SHA", 0xC00A: "ECDHE-ECDSA-AES256-SHA",
        0xC013: "ECDHE-RSA-AES128-SHA", 0xC014: "ECDHE-RSA-AES256-SHA",
        0xC023: "ECDHE-ECDSA-AES128-SHA256", 0xC027: "ECDHE-RSA-AES128-SHA256",
        0xC024: "ECDHE-ECDSA-AES256-SHA384", 0xC028: "ECDHE-RSA-AES256-SHA384",
        0x009C: "AES128-GCM-SHA256", 0x009D: "AES256-GCM-SHA384", 0x002F: "AES128-SHA",
        0x0035: "AES256-SHA", 0x003C: "AES128-SHA256", 0x003D: "AES256-SHA256",
        0x000A: "DES-CBC3-SHA", 0x009E: "DHE-RSA-AES128-GCM-SHA256",
        0x009F: "DHE-RSA-AES256-GCM-SHA384", 0xCCAA: "DHE-RSA-CHACHA20-POLY1305",
        0x0033: "DHE-RSA-AES128-SHA", 0x0039: "DHE-RSA-AES256-SHA",
        0x00FF: "TLS_EMPTY_RENEGOTIATION_INFO_SCSV", 0x5600: "TLS_FALLBACK_SCSV",
    ]

    private static func group(_ number: UInt16) -> String {
        groupNames[number] ?? "0x" + hexadecimal(number, 4)
    }

    private static let groupNames: [UInt16: String] = [
        0x0016: "secp256k1", 0x0017: "P-256", 0x0018: "P-384", 0x0019: "P-521",
        0x001A: "brainpoolP256r1", 0x001B: "brainpoolP384r1", 0x001C: "brainpoolP512r1",
        0x001D: "X25519", 0x001E: "X448", 0x0100: "ffdhe2048", 0x0101: "ffdhe3072",
        0x0102: "ffdhe4096", 0x0103: "ffdhe6144", 0x0104: "ffdhe8192",
        0x11EB: "SecP256r1MLKEM768", 0x11EC: "X25519MLKEM768", 0x11ED: "SecP384r1MLKEM1024",
        0x6399: "X25519Kyber768Draft00",
    ]
}
