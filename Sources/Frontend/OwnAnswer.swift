// SPDX-License-Identifier: Apache-2.0
import Wire

/// An answer that Sluice gives without asking an upstream.
struct OwnAnswer {
    let status: Int
    let fields: [(String, String)]
    /// The `Content-Type`; empty for none.
    let type: String
    let body: [UInt8]
    /// What the route changes in it.
    let edits: FieldEdits
    /// Set where it refuses: what the log says.
    let refusal: Refusal?

    private init(
        status: Int, fields: [(String, String)] = [], type: String, body: [UInt8],
        edits: FieldEdits = FieldEdits(), refusal: Refusal? = nil
    ) {
        self.status = status
        self.fields = fields
        self.type = type
        self.body = body
        self.edits = edits
        self.refusal = refusal
    }

    /// A refusal on a connection that may carry more requests.
    init(_ refusal: Refusal) {
        let fields =
            refusal.extraFields + [
                ("Cache-Control", "no-store"), ("Proxy-Status", refusal.proxyStatus),
            ]
        self.init(
            status: refusal.status, fields: fields, type: "text/plain; charset=utf-8",
            body: Array(refusal.sentence.utf8) + [0x0A], refusal: refusal)
    }

    /// What a route always answers.
    init(_ answer: FixedAnswer, _ route: Route) {
        self.init(
            status: answer.status, type: answer.type, body: answer.body, edits: route.answerFields)
    }

    /// Where a route points to: its rewritten path, and the query that came.
    init(_ rule: RedirectRule, _ path: [UInt8], _ query: [UInt8]?, _ route: Route) {
        let location = rule.origin + String(decoding: path, as: UTF8.self) + Self.suffix(query)
        self.init(redirecting: location, status: rule.status, edits: route.answerFields)
    }

    private init(redirecting location: String, status: Int, edits: FieldEdits) {
        self.init(
            status: status, fields: [("Location", location)], type: "text/plain; charset=utf-8",
            body: Array("See \(location)\n".utf8), edits: edits)
    }

    /// The same URL with https (RFC 9110 §15.4.9: 308 keeps method and body).
    static func toHTTPS(_ request: OrdinaryRequest, _ crew: Crew) -> OwnAnswer {
        guard let host = request.host else {
            return OwnAnswer(
                Refusal(
                    status: 400, proxyError: "http_request_error",
                    sentence: "Without a Host field it can't be said where https is."))
        }
        let path = request.isAsterisk ? "/" : String(decoding: request.target.path, as: UTF8.self)
        let location = crew.secureURL("https", host, path: path) + suffix(request.target.query)
        return OwnAnswer(redirecting: location, status: 308, edits: FieldEdits())
    }

    private static func suffix(_ query: [UInt8]?) -> String {
        query.map { "?" + String(decoding: $0, as: UTF8.self) } ?? ""
    }

    /// The whole answer; without its body where the request was a HEAD.
    func bytes(hop: Hop, persistence: ClientAnswer.Persistence, omitsBody: Bool) -> [UInt8] {
        var writer = HeadWriter()
        writer.statusLine(status)
        // What a route changes takes the place of what would stand here (RFC 9110 §5.3).
        func write(_ name: String, _ value: String) {
            if !edits.drops(Array(name.utf8)[...]) { writer.field(named: name, value) }
        }
        for (name, value) in fields { write(name, value) }
        let mayHaveBody = status != 204 && status != 304
        if mayHaveBody {
            if !type.isEmpty { write("Content-Type", type) }
            writer.field("Content-Length", String(body.count))
        }
        if let policy = hop.strictTransportSecurity {
            writer.field("Strict-Transport-Security", policy)
        }
        switch persistence {
        case .usual: break
        case .stated: writer.field("Connection", "keep-alive")
        case .closes: writer.field("Connection", "close")
        }
        UpstreamRequest.write(edits, into: &writer)
        writer.end()
        return mayHaveBody && !omitsBody ? writer.bytes + body : writer.bytes
    }
}
