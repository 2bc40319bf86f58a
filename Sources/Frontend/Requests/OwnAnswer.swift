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
    let edits: FieldPlan?
    /// Set where it refuses: what the log says.
    let refusal: Refusal?
    /// It is what another server has refused with.
    private(set) var isPassedOn = false
    /// Lines of its cookies.
    private var cookies: [UInt8] = []

    private init(
        status: Int, fields: [(String, String)] = [], type: String, body: [UInt8],
        edits: FieldPlan? = nil, refusal: Refusal? = nil
    ) {
        self.status = status
        self.fields = fields
        self.type = type
        self.body = body
        self.edits = edits
        self.refusal = refusal
    }

    /// A refusal, in answer to whatever was asked.
    init(_ refusal: Refusal) {
        let fields =
            refusal.extraFields + [
                ("Cache-Control", "no-store"), ("Proxy-Status", refusal.proxyStatus),
            ]
        self.init(
            status: refusal.status, fields: fields, type: "text/plain; charset=utf-8",
            body: Array(refusal.sentence.utf8) + [0x0A], refusal: refusal)
    }

    /// What another server has refused with; the log has the refusal's sentence.
    init(
        passing status: Int, fields: [(String, String)], type: String, body: [UInt8],
        cookies: [UInt8], _ refusal: Refusal
    ) {
        self.init(status: status, fields: fields, type: type, body: body, refusal: refusal)
        self.cookies = cookies
        isPassedOn = true
    }

    /// What a route always answers.
    init(_ answer: FixedAnswer, _ plan: RoutePlan) {
        self.init(
            status: answer.status, type: answer.type, body: answer.body, edits: plan.answer)
    }

    /// Where a route points to: its rewritten path, and the query that came.
    init(_ rule: RedirectRule, _ path: [UInt8], _ query: [UInt8]?, _ plan: RoutePlan) {
        // A reference that begins with two slashes names another host (RFC 3986 §4.2).
        let isHostless = rule.origin.isEmpty && path.starts(with: "//".utf8)
        let location =
            rule.origin + (isHostless ? "/." : "") + String(decoding: path, as: UTF8.self)
            + Self.suffix(query)
        self.init(redirecting: location, status: rule.status, edits: plan.answer)
    }

    private init(redirecting location: String, status: Int, edits: FieldPlan?) {
        self.init(
            status: status, fields: [("Location", location)], type: "text/plain; charset=utf-8",
            body: Array("See \(location)\n".utf8), edits: edits)
    }

    /// Says to a preflight that a page of this origin may send requests from a more public network.
    ///
    /// The origin was found among those that the route lists, so that nothing else of the peer's is said.
    init(allowingPrivateNetworkFor origin: [UInt8]) {
        self.init(
            status: 204,
            fields: [
                ("Access-Control-Allow-Origin", String(decoding: origin, as: UTF8.self)),
                ("Access-Control-Allow-Credentials", "true"),
                ("Access-Control-Allow-Private-Network", "true"), ("Vary", "Origin"),
                ("Cache-Control", "no-store"),
            ], type: "", body: [])
    }

    /// The same URL with https (RFC 9110 §15.4.9: 308 keeps method and body).
    static func toHTTPS(_ request: borrowing OrdinaryRequest, _ snapshot: Snapshot)
        -> OwnAnswer
    {
        guard let host = request.host else {
            return OwnAnswer(.noHost)
        }
        let path =
            request.isAsterisk ? "/" : String(decoding: request.target.sentPath, as: UTF8.self)
        let location = snapshot.secureURL("https", host, path: path) + suffix(request.target.query)
        return OwnAnswer(redirecting: location, status: 308, edits: nil)
    }

    private static func suffix(_ query: [UInt8]?) -> String {
        query.map { "?" + String(decoding: $0, as: UTF8.self) } ?? ""
    }

    /// Whether an answer of its status has a body (RFC 9110 §6.4.1).
    private var mayHaveBody: Bool { status != 204 && status != 304 }

    /// The body as it is sent in answer to that method.
    func sentBody(to method: Method) -> [UInt8] { mayHaveBody && method != .head ? body : [] }

    /// Writes the whole answer to a request of that method.
    func write(
        date: String, policyLine: [UInt8], persistence: ClientAnswer.Persistence, to method: Method,
        told: AnswerTold? = nil, into writer: inout HeadWriter
    ) {
        writer.statusLine(status)
        // What a route changes takes the place of what would stand here (RFC 9110 §5.3).
        func write(_ name: String, _ value: String, into writer: inout HeadWriter) {
            if edits?.dropped.contains(name) == true { return }
            writer.field(named: name, value)
        }
        write("Date", date, into: &writer)
        for (name, value) in fields { write(name, value, into: &writer) }
        if mayHaveBody {
            if !type.isEmpty { write("Content-Type", type, into: &writer) }
            writer.field("Content-Length", String(body.count))
        }
        writer.append(policyLine)
        writer.append(cookies)
        switch persistence {
        case .usual: break
        case .stated: writer.append("Connection: keep-alive\r\n")
        case .closes:
            // Who sends `Upgrade` names it as an option of the connection (RFC 9110 §7.8).
            let hasUpgrade = fields.contains { $0.0 == "Upgrade" }
            writer.append(
                hasUpgrade ? "Connection: close, Upgrade\r\n" : "Connection: close\r\n")
        }
        edits?.write(told, into: &writer)
        writer.end()
        writer.append(sentBody(to: method))
    }
}
