// SPDX-License-Identifier: Apache-2.0
import Wire

/// Another server that is asked whether a request may use a route.
public final class ForwardRule: Sendable {
    /// Who is asked.
    public let group: EndpointGroup
    /// The path that it is asked for, with a query or without.
    let target: [UInt8]
    /// How long all of one question may take.
    let timeoutMilliseconds: UInt64
    /// Fields of its answer that go on to the upstream, in lower case; the first says who the user is.
    let fields: [String]
    /// How often it is asked again while a relay lives; 0 for never.
    let recheckMilliseconds: UInt64
    /// For how long what it has granted holds for the same question; 0 for that question alone.
    let cacheMilliseconds: UInt64
    /// The code of the Close for a relay that it grants no more.
    let code: UInt16
    /// Fields of the client that it does not get: those that say what only Sluice may say.
    let withheld: FieldNames
    /// Those of them that others write for the app, and Sluice does not write into the question.
    private let told: FieldNames

    /// A rule.
    ///
    /// - Parameters:
    ///   - group: who is asked.
    ///   - target: the path that it is asked for.
    ///   - timeoutMilliseconds: how long all of one question may take.
    ///   - fields: what of its answer goes on to the upstream.
    ///   - recheckMilliseconds: how often it is asked again while a relay lives; 0 for never.
    ///   - cacheMilliseconds: for how long what it has granted holds; 0 for one request.
    ///   - code: the code of the Close for a relay that it grants no more.
    ///   - told: names of fields that tell the upstream what another rule has found out: whoever is asked must not take
    ///     the client's own of these names for that.
    public init(
        group: EndpointGroup, target: String, timeoutMilliseconds: UInt64, fields: [String],
        recheckMilliseconds: UInt64, cacheMilliseconds: UInt64, code: UInt16,
        withholding told: [String] = []
    ) {
        self.group = group
        self.target = Array(target.utf8)
        self.timeoutMilliseconds = timeoutMilliseconds
        self.fields = fields.map { $0.lowercased() }
        self.recheckMilliseconds = recheckMilliseconds
        self.cacheMilliseconds = cacheMilliseconds
        self.code = code
        // Credentials are the client's own to say, also where the server writes others for the app.
        let others = fields.filter { !Self.credentials.contains($0.lowercased()) } + told
        withheld = FieldNames(Self.unasked + others)
        let unasked = FieldNames(Self.unasked)
        self.told = FieldNames(others.filter { !unasked.contains($0) })
    }

    /// The lines of a question that was made by another rule, without what this one withholds.
    func withholding(_ lines: [UInt8]) -> [UInt8] {
        if told.isEmpty { return lines }
        var kept: [UInt8] = []
        kept.reserveCapacity(lines.count)
        for line in lines.split(separator: UInt8(ascii: "\n")) {
            let name = String(decoding: line.prefix { $0 != UInt8(ascii: ":") }, as: UTF8.self)
            if told.contains(name) { continue }
            kept += line
            kept.append(UInt8(ascii: "\n"))
        }
        return kept
    }

    /// What an endpoint or an upstream is called where people read that it is asked.
    func said(of label: String) -> String {
        label.hasPrefix("ws://") || label.hasPrefix("wss://") ? "http" + label.dropFirst(2) : label
    }

    private static let credentials: Set<String> = ["authorization", "cookie"]

    /// What says where a request comes from is Sluice's to say, and what would have the answer be another than that to
    /// the question (RFC 9110 §13, §14) is left out: a 304 is no grant.
    private static let unasked = [
        "x-forwarded-method", "x-forwarded-uri", "x-original-method", "x-original-uri",
        "x-original-url", "x-auth-request-redirect", "accept-encoding", "content-encoding",
        "if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range",
        "range",
        "sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions",
    ]
}

/// What the other server has said.
final class ForwardAnswer {
    let status: Int
    /// Lines for the upstream.
    let granted: [UInt8]
    /// Who the client is; empty where it does not say.
    let user: String
    /// It says more than once who the client is, so that an app and the log could take different ones.
    let namesUserAgain: Bool
    /// Lines for the client: its cookies.
    let cookies: [UInt8]
    /// What a refusal goes on to the client with.
    let fields: [(String, String)]
    let type: String
    var body: [UInt8] = []
    /// Another request may go on the connection that it has come on.
    var mayReuse = false

    init(_ head: borrowing ResponseHead, _ rule: ForwardRule) {
        status = head.status
        var lines = HeadWriter(capacity: 128)
        var cookies = HeadWriter(capacity: 128)
        var user = ""
        var users = 0
        var passed: [(String, String)] = []
        var type = ""
        let isRefusal = !(200...299).contains(head.status)
        let list = head.fields
        for field in list.fields {
            let value = list.value(of: field)
            let word = String(decoding: list.name(of: field), as: UTF8.self).lowercased()
            // What is for one hop goes no further, and neither does what could not stand in a head of ours.
            if KnownFields.hopByHop.has(field.known) || list.listContains("connection", token: word)
                || value.contains(where: { $0 < 0x20 && $0 != 0x09 || $0 == 0x7F })
            {
                continue
            }
            if word == "set-cookie" {
                cookies.field("Set-Cookie", value)
            } else if !isRefusal, rule.fields.contains(word) {
                lines.field(list.name(of: field), value)
                if word == rule.fields.first {
                    users += 1
                    user = String(decoding: value, as: UTF8.self)
                }
            } else if isRefusal, word == "content-type" {
                type = String(decoding: value, as: UTF8.self)
            } else if isRefusal, Self.passed.contains(word) {
                passed.append(
                    (
                        String(decoding: list.name(of: field), as: UTF8.self),
                        String(decoding: value, as: UTF8.self)
                    ))
            }
        }
        granted = lines.bytes
        self.cookies = cookies.bytes
        self.user = user
        namesUserAgain = users > 1
        self.type = type
        fields = passed
    }

    /// Fields of a refusal that the client gets.
    private static let passed = [
        "location", "www-authenticate", "cache-control", "content-language", "retry-after",
        "clear-site-data", "referrer-policy",
    ]

    /// Whether the request may use the route.
    var isGrant: Bool { (200...299).contains(status) }
    /// Whether it is an answer that the client gets.
    var isRefusal: Bool { (300...399).contains(status) || status == 401 || status == 403 }

    /// A refusal as the client gets it; the log has the sentence.
    func passedOn(_ refusal: Refusal) -> OwnAnswer {
        var lines = fields
        lines.append(("Proxy-Status", refusal.proxyStatus))
        return OwnAnswer(
            passing: status, fields: lines, type: type, body: body, cookies: cookies, refusal)
    }
}
