// SPDX-License-Identifier: Apache-2.0
public import Foundation
import Wire

/// A request to the admin socket.
public struct AdminRequest: Sendable {
    /// The method, as it was sent: `GET` and `HEAD` ask, `POST` changes something.
    public let method: String
    /// The segments of the path.
    public let path: [String]
    /// The fields of the query, decoded, in the order in which they stand there.
    public let query: [(name: String, value: String)]
    /// The body as it came; empty where there is none.
    public let body: Data
    /// The user whose process asks, where that came through a unix socket (unix(7), SO_PEERCRED); nil elsewhere.
    public let user: UInt32?
    /// Which forms of an answer are wanted (RFC 9110 §12.5.1); empty where nothing was said.
    public let accept: String

    /// A request that the gate has let in, or why it can't be read.
    init(_ head: RequestHead, body: Data, user: UInt32? = nil) throws(AdminRefusal) {
        self.user = user
        guard let target = try? RequestTarget(parsing: head.target) else {
            throw AdminRefusal(400, "The path can't be read.")
        }
        method = head.method
        path = String(decoding: target.path, as: UTF8.self).split(separator: "/").map(String.init)
        query = String(decoding: target.query ?? [], as: UTF8.self).split(separator: "&").map {
            field in
            let parts = field.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                .map { String($0).removingPercentEncoding ?? String($0) }
            return (parts[0], parts.count > 1 ? parts[1] : "")
        }
        self.body = body
        accept = String(decoding: head.fields.first("accept") ?? [], as: UTF8.self)
    }
}

/// Why a request to the admin socket is not served.
struct AdminRefusal: Error {
    let status: Int
    let sentence: String

    /// What is answered.
    var answer: AdminAnswer {
        var answer = AdminAnswer(status: status, text: sentence)
        // How to ask so that it is not refused (RFC 9110 §11.6.1, RFC 6750 §3).
        if status == 401 { answer.fields = [("WWW-Authenticate", "Bearer realm=\"sluice\"")] }
        return answer
    }

    init(_ status: Int, _ sentence: String) {
        self.status = status
        self.sentence = sentence
    }
}

/// An answer of the admin socket.
public struct AdminAnswer: Sendable {
    /// The status code of the answer (RFC 9110 §15).
    public let status: Int
    let type: String
    /// The bytes that are sent behind the head, in the form that `type` names.
    public let body: Data
    /// What goes on writing behind the head; nil where `body` is all.
    let story: (@Sendable (borrowing AdminOutlet) -> Void)?
    /// The methods that are served there, where another was used (RFC 9110 §10.2.1); nil elsewhere.
    let allow: String?
    /// Further fields of the head.
    var fields: [(name: StaticString, value: String)] = []

    /// Bytes of a type (RFC 9110 §8.3).
    public init(status: Int = 200, type: String, body: Data, allow: String? = nil) {
        self.status = status
        self.type = type
        self.body = body
        self.allow = allow
        story = nil
    }

    /// An answer whose body is written as it comes to be, for as long as `story` runs: on a thread of its own, which
    /// waits for nobody else.
    public init(
        type: String, story: @escaping @Sendable (borrowing AdminOutlet) -> Void
    ) {
        status = 200
        self.type = type
        body = Data()
        allow = nil
        self.story = story
    }

    /// A line of text.
    public init(status: Int = 200, text: String, allow: String? = nil) {
        self.init(
            status: status, type: "text/plain; charset=utf-8", body: Data((text + "\n").utf8),
            allow: allow)
    }

    /// A value as JSON.
    public init(status: Int = 200, json value: some Encodable) {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes, .prettyPrinted]
        let body = (try? encoder.encode(value)) ?? Data("{}".utf8)
        self.init(status: status, type: "application/json", body: body + Data("\n".utf8))
    }

    /// A body that is longer is sent behind its head, instead of being copied together with it.
    private static let togetherMax = 65_536

    /// Sends the whole message, behind which the connection ends; `isForThisMachine` has it name the process.
    func send(
        on stream: borrowing AdminStream, omittingBody: Bool, isForThisMachine: Bool,
        until deadline: UInt64
    ) {
        let isTogether = omittingBody || body.count <= Self.togetherMax
        let first = bytes(
            omittingBody: omittingBody || !isTogether, isForThisMachine: isForThisMachine)
        if stream.send(first, until: deadline), !isTogether { stream.send(body, until: deadline) }
    }

    /// The whole message, behind which the connection ends; `isForThisMachine` has it name the process.
    func bytes(omittingBody: Bool, isForThisMachine: Bool = true) -> [UInt8] {
        var writer = HeadWriter()
        writer.statusLine(status)
        writer.field("Content-Type", type)
        if story == nil {
            writer.field("Content-Length", String(body.count))
        } else {
            writer.field("Transfer-Encoding", "chunked")
        }
        writer.field("Cache-Control", "no-store")
        writer.field("X-Content-Type-Options", "nosniff")
        if let allow { writer.field("Allow", allow) }
        for field in fields { writer.field(field.name, field.value) }
        // By these a command tells this server from others, and this process from the next one.
        if isForThisMachine {
            writer.field("Server", AdminProcess.serverName)
            writer.field(AdminProcess.fieldName, AdminProcess.own)
        }
        writer.field("Connection", "close")
        writer.end()
        return writer.bytes + (omittingBody ? [] : Array(body))
    }
}
