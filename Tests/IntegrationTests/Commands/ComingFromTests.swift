// SPDX-License-Identifier: Apache-2.0
//
// Goal: each configuration in docs/coming-from.md does what its heading says.
// Method: the blocks are read out of the page and served by the program, with two apps of the test's at the ports that they
// name; curl asks.

import Foundation
import TestKit
import Testing

@Suite struct ComingFromTests {
    /// The blocks of the page by their headings.
    private static func blocks() throws -> [String: String] {
        let page = try Scratch.read("\(Scratch.packageFolder)/docs/coming-from.md")
        var blocks: [String: String] = [:]
        for section in page.components(separatedBy: "\n## ").dropFirst() {
            let heading = section.prefix { $0 != "\n" }
            let parts = section.components(separatedBy: "```yaml\n")
            if parts.count == 2 {
                blocks[String(heading)] = parts[1].components(separatedBy: "```")[0]
            }
        }
        return blocks
    }

    /// An app that opens sockets, says its name and what it was asked for, and is silent at `/slow`.
    private static func app(_ name: String) throws -> ScriptedBackend {
        try ScriptedBackend { peer in
            let head = try peer.readHead()
            if let key = head["Sec-WebSocket-Key"] {
                try peer.send(WebSocketPeer.switching(key: key) + Frame.text(name).bytes)
                _ = try peer.readUntilEnd()
                return
            }
            if head.target == "/slow" {
                _ = try peer.readUntilEnd(by: .after(.seconds(600)))
                return
            }
            let words = [
                name, head.target, head["X-Real-IP"] ?? "-", head["X-Station"] ?? "-",
                head["X-Forwarded-For"] ?? "-", head["Via"] ?? "-",
            ].joined(separator: " ")
            try peer.send(
                "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: \(words.utf8.count)\r\n\r\n\(words)"
            )
            try peer.stream.halfClose()
            _ = try peer.readUntilEnd()
        }
    }

    /// A server that lets in who has a cookie, and names a station.
    private static func verifier() throws -> ScriptedBackend {
        try ScriptedBackend { peer in
            let isIn = try peer.readHead()["Cookie"] == "in=1"
            try peer.send(
                isIn
                    ? "HTTP/1.1 200 OK\r\nX-Station: CP-9\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                    : "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            try peer.stream.halfClose()
            _ = try peer.readUntilEnd()
        }
    }

    private struct Served {
        let proxy: ProxyFixture
        let folder: String
        /// The app, where it speaks TLS.
        let secure: TLSApp?
        /// Who signs the certificates of clients, where the block names such.
        private(set) var clients: ClientAuthority?

        /// A secret of 32 bytes, all `k`.
        private static let keys = """
            {"keys":[{"kty":"oct","kid":"1","alg":"HS256","k":"a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s"}]}
            """

        init(_ heading: String) throws {
            let block = try #require(try ComingFromTests.blocks()[heading])
            folder = try Scratch.makeFolder()
            let hash = try run(["openssl", "passwd", "-6", "-salt", "salt", "secret"]).first ?? ""
            try Scratch.write("CP-1:\(hash)\n", to: "\(folder)/users")
            let keys = "\(folder)/keys.json"
            try Scratch.write(Self.keys, to: keys)
            let apps =
                try block.contains("forward:")
                ? [ComingFromTests.app("a"), ComingFromTests.verifier()]
                : ["a", "b"].map(ComingFromTests.app)
            var yaml = block.replacingOccurrences(of: "file: users", with: "file: \(folder)/users")
                .replacingOccurrences(of: "keys: keys.json", with: "keys: \(keys)")
            if block.contains("clients.pem") {
                let local = try TestCertificates.shared().local
                clients = try ClientAuthority()
                yaml = yaml.replacing("server.pem", with: local.chain)
                    .replacing("server-key.pem", with: local.key)
                    .replacing("clients.pem", with: clients?.certificate ?? "")
            }
            secure = yaml.contains("https://") ? try TLSApp() : nil
            if let secure {
                yaml = yaml.replacingOccurrences(
                    of: "https://127.0.0.1:3000", with: "https://127.0.0.1:\(secure.port)"
                ).replacingOccurrences(of: "ca.pem", with: "\(try TLSApp.certificates())/ca.pem")
            }
            for (port, app) in zip(["3000", "3001"], apps) {
                for scheme in ["ws", "http"] {
                    yaml = yaml.replacingOccurrences(
                        of: "\(scheme)://127.0.0.1:\(port)", with: "\(app.address)")
                }
            }
            for port in ["8080", "8081", "8443"] {
                yaml = yaml.replacing("\":\(port)\"", with: "\"127.0.0.1:0\"")
            }
            proxy = try ProxyFixture(
                configuration: yaml, listenerCount: yaml.ranges(of: "address: ").count)
        }

        /// What curl gets: the body where the status is 200, else the status.
        func curl(_ path: String, _ options: String...) throws -> String {
            try curl(path, options)
        }

        func curl(_ path: String, _ options: [String]) throws -> String {
            let said = try run(
                ["curl", "-sS", "-w", "\n%{http_code}"] + options
                    + [proxy.url(path).replacing("ws", with: "http")])
            return said.last == "200" ? said.first ?? "" : said.last ?? ""
        }

        /// The name of the app that a socket leads to; the status where none opens.
        func socket(
            _ path: String = "/x", _ extra: [(name: String, value: String)] = [],
            listener: Int = 0
        ) throws -> String {
            let client = try proxy.connect(listener: listener)
            try client.send(Opening(path, extra: extra).bytes)
            let head = try client.readHead()
            return head.status == 101 ? try client.readFrame().text : "\(head.status)"
        }

        func remove() { Scratch.remove(folder) }
    }

    @Test func `every block of the page is tried here`() throws {
        let source = try Scratch.read(#filePath)
        let headings = try Self.blocks().keys
        #expect(headings.count == 19)
        for heading in headings { #expect(source.contains("Served(\"\(heading)\")"), "\(heading)") }
    }

    @Test func `a socket and a page share a path`() throws {
        let served = try Served("A socket and a page on one path")
        defer { served.remove() }
        #expect(try served.socket() == "a")
        #expect(try served.curl("/x").hasPrefix("b /x "))
    }

    @Test func `a token lets in from a field or a cookie`() throws {
        let served = try Served("A signed token")
        defer { served.remove() }
        let signed = ["{\"alg\":\"HS256\",\"kid\":\"1\"}", Self.claims].map(Self.encoded)
            .joined(separator: ".")
        let code = try run([
            "sh", "-c",
            "printf %s '\(signed)' | openssl dgst -sha256 -mac HMAC -macopt key:"
                + "\(String(repeating: "k", count: 32)) -binary | basenc --base64url | tr -d =",
        ])
        let token = "\(signed).\(try #require(code.first))"
        #expect(
            try served.curl("/x", "-H", "Authorization: Bearer \(token)", "-H", "X-Station: forged")
                .hasPrefix("a /x - CP-1 "))
        #expect(try served.curl("/x", "-H", "Cookie: session=\(token)").hasPrefix("a /x - CP-1 "))
        #expect(try served.curl("/x") == "401")
        #expect(try served.socket("/x", [("Cookie", "session=\(token)")]) == "a")
        #expect(try served.socket("/x", [("Cookie", "session=\(token.dropLast())")]) == "401")
    }

    private static let claims = """
        {"iss":"https://issuer.test","aud":"app","sub":"CP-1","exp":4102444800}
        """

    private static func encoded(_ text: String) -> String {
        Data(text.utf8).base64EncodedString().replacing("+", with: "-")
            .replacing("/", with: "_").replacing("=", with: "")
    }

    @Test func `an app that speaks TLS itself is verified by its authority`() throws {
        let served = try Served("An app that speaks TLS itself")
        defer { served.remove() }
        #expect(try served.curl("/x").contains("\"names\": [\"localhost\"]"))
    }

    @Test func `nothing is needed for a WebSocket, and the client is told of`() throws {
        let plain = try Served("The headers for a WebSocket")
        defer { plain.remove() }
        #expect(try plain.socket() == "a")
        #expect(try plain.curl("/x") == "a /x - - 127.0.0.1 1.1 sluice")
        let told = try Served("Who the client is")
        defer { told.remove() }
        #expect(try told.curl("/x", "-H", "X-Real-IP: forged").hasPrefix("a /x 127.0.0.1 "))
        let nothing = try Served("Nothing of the proxy to the app")
        defer { nothing.remove() }
        #expect(try nothing.curl("/x") == "a /x - - - -")
        #expect(try nothing.socket() == "a")
    }

    @Test func `passwords and addresses are asked for`() throws {
        let password = try Served("A password")
        defer { password.remove() }
        #expect(try password.curl("/x") == "401" && password.socket() == "401")
        #expect(try password.curl("/x", "-u", "CP-1:secret").hasPrefix("a /x "))
        #expect(try password.socket("/x", [("Authorization", "Basic Q1AtMTpzZWNyZXQ=")]) == "a")
        let addresses = try Served("Some addresses only")
        defer { addresses.remove() }
        #expect(try addresses.curl("/admin/x") == "403" && addresses.socket("/admin/x") == "403")
        #expect(try addresses.socket() == "a")
    }

    @Test func `another server is asked`() throws {
        let served = try Served("Another server that says who may come in")
        defer { served.remove() }
        #expect(try served.curl("/x") == "401" && served.socket() == "401")
        #expect(try served.curl("/x", "-b", "in=1").hasPrefix("a /x - CP-9 "))
        #expect(try served.curl("/x", "-b", "in=1", "-H", "X-Station: forged").contains(" CP-9 "))
        #expect(try served.socket("/x", [("Cookie", "in=1")]) == "a")
    }

    @Test func `certificates of clients are asked for`() throws {
        let served = try Served("Client certificates")
        defer { served.remove() }
        let clients = try #require(served.clients)
        let trusted = ["--cacert", try TestCertificates.shared().authority]
        func curl(_ path: String, _ client: TestIdentity?) throws -> String {
            let shown = client.map { ["--cert", $0.chain, "--key", $0.key] } ?? []
            return try served.curl(path, trusted + shown)
        }
        let charger = try clients.issue("/CN=CP-1", names: "DNS:cp-1.chargers.example")
        let other = try clients.issue("/CN=other", names: "DNS:other.example")
        #expect(try curl("/x", nil).hasPrefix("a /x "))
        #expect(try curl("/chargers/x", nil) == "403")
        #expect(try curl("/chargers/x", other) == "403")
        #expect(try curl("/chargers/x", charger).hasPrefix("a /chargers/x - CN=CP-1 "))
    }

    @Test func `ports and names have apps of their own`() throws {
        let ports = try Served("A second port with another app")
        defer { ports.remove() }
        #expect(try ports.socket() == "a" && ports.socket(listener: 1) == "b")
        let names = try Served("Several names")
        defer { names.remove() }
        #expect(try names.curl("/x", "-H", "Host: a.example.com").hasPrefix("a /x "))
        #expect(try names.curl("/x", "-H", "Host: other.example.com").hasPrefix("b /x "))
        #expect(try names.curl("/x") == "404")
    }

    @Test func `a prefix goes away`() throws {
        let served = try Served("A prefix that the app does not know")
        defer { served.remove() }
        #expect(try served.curl("/app/x/y?z").hasPrefix("a /x/y?z "))
        #expect(try served.socket("/app/x") == "a")
        #expect(try served.curl("/x") == "404")
    }

    @Test func `a client has so many sockets`() throws {
        let served = try Served("Not too many sockets of one client")
        defer { served.remove() }
        let held = try (0..<2).map { _ in try served.proxy.open(Opening("/x")) }
        #expect(try served.socket() == "429")
        #expect(try served.curl("/x").hasPrefix("a "))
        withExtendedLifetime(held) {}
    }

    @Test func `a proxy in front says who the client is`() throws {
        let served = try Served("Behind another proxy")
        defer { served.remove() }
        #expect(
            try served.curl("/x", "-H", "X-Forwarded-For: 203.0.113.9")
                .hasPrefix("a /x 203.0.113.9 "))
    }

    @Test func `a segment has a name`() throws {
        let served = try Served("A part of the path as a name")
        defer { served.remove() }
        #expect(try served.curl("/ocpp/CP-1").hasPrefix("a /v16/CP-1/socket - CP-1 "))
        #expect(try served.socket("/ocpp/CP-1") == "a")
        #expect(try served.socket("/ocpp/CP-1/x") == "404")
    }

    @Test func `clients come back, and weights hold`() throws {
        let sticky = try Served("A cookie that brings clients back")
        defer { sticky.remove() }
        let jar = "\(sticky.folder)/jar"
        let first = try sticky.curl("/x", "-b", jar, "-c", jar).prefix(1)
        for _ in 0..<6 {
            #expect(try sticky.curl("/x", "-b", jar, "-c", jar).prefix(1) == first)
        }
        let weights = try Served("Weights, and one that gets nothing new")
        defer { weights.remove() }
        for _ in 0..<6 { #expect(try weights.curl("/x").hasPrefix("a ")) }
    }

    @Test func `one path has a time limit of its own`() throws {
        let served = try Served("A time limit of one path")
        defer { served.remove() }
        #expect(try served.curl("/slow") == "504")
        #expect(try served.curl("/x").hasPrefix("a /x "))
    }
}
