// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestKit
import Testing

/// An app that speaks TLS itself, over Python's ssl.
final class TLSApp: Sendable {
    let port: UInt16
    private let process: ChildProcess

    /// Starts it with one of the certificates, and further arguments.
    convenience init(_ certificate: String = "good", _ arguments: [String] = []) throws {
        let folder = try Self.certificates()
        try self.init(
            chain: "\(folder)/\(certificate).pem", key: "\(folder)/\(certificate).key", arguments)
    }

    /// Starts it with a certificate of the test's.
    init(chain: String, key: String, _ arguments: [String] = []) throws {
        process = try PythonPeer.start("tls_app.py", [chain, key] + arguments)
        let line = try process.waitForLine(containing: "port ", by: .after(.seconds(120)))[0]
        port = try #require(UInt16(line.dropFirst(5)))
    }

    /// As an endpoint.
    var url: String { "wss://localhost:\(port)" }

    func end() throws {
        process.signal(SIGKILL)
        try process.waitForExit()
    }

    /// The folder of certificates of all kinds, made once per process.
    static func certificates() throws -> String { try made.get() }

    private static let made = Result {
        let folder = try Scratch.makeFolder()
        try PythonPeer.run("tls_certificates.py", [folder], by: .after(.seconds(900)))
        return folder
    }

    /// An upstream called `app` with these endpoints, and `tls` beside the authority of the certificates.
    static func upstream(_ endpoints: [String], tls: String = "", _ more: String = "") throws
        -> String
    {
        let list = endpoints.map { "\"\($0)\"" }.joined(separator: ", ")
        return
            "upstreams: { app: { endpoints: [\(list)], tls: { ca: \(try certificates())/ca.pem\(tls) }\(more) } }"
    }

    /// A Sluice in front of it that sends everything there.
    func proxied(
        tls: String = "", _ more: String = "", listeners: [ProxyListener] = [.tls()],
        settings: [String] = []
    ) throws -> Operated {
        try Operated(
            routes: ["{ path: \"/*\", to: app }"], listeners: listeners,
            settings: [try Self.upstream([url], tls: tls, more)] + settings)
    }
}

/// What the app knows of a connection.
struct TLSConnectionTold: Decodable {
    let connections: Int
    let resumed: Int
    let requests: Int
    let names: [String?]
    let connection: Int
    let version: String
    let subject: [String]
    let alpn: String?
}

extension WebSocketPeer {
    /// Asks for a path on a connection that is kept.
    func get(_ path: String = "/", by deadline: Deadline = .after()) throws -> HTTPResponse {
        try send("GET \(path) HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return try readResponse(by: deadline)
    }

    func told() throws -> TLSConnectionTold {
        let response = try get()
        try #require(response.status == 200, "\(response.head) \(response.text)")
        return try JSONDecoder().decode(TLSConnectionTold.self, from: Data(response.body))
    }
}
