// SPDX-License-Identifier: Apache-2.0

import Testing
import Wire

@Suite struct FieldListTests {
    static func list(_ fields: String...) throws -> FieldList {
        try HeadBytes.parse(HeadBytes.lines(["GET / HTTP/1.1"] + fields)).fields
    }

    @Test func `names are found without regard to case and in order`() throws {
        let list = try Self.list("Accept: 1", "ACCEPT: 2", "accept-x: 3", "aCcEpT: 4")
        #expect(list.string("accept") == "1")
        #expect(list.count(of: "accept") == 3)
        #expect(list.all("accept").map { String(decoding: $0, as: UTF8.self) } == ["1", "2", "4"])
        #expect(list.first("accep") == nil)
        #expect(list.string("missing") == nil)
        #expect(list.count(of: "missing") == 0)
        #expect(list.all("missing").isEmpty)
    }

    @Test(arguments: [
        ("sid", "abc"), ("b", ""), ("SID", "upper"), ("other", "x=y"), ("last", "z"), ("si", nil),
        ("id", nil), ("sid ", nil), ("", nil), ("spaced", "1"), ("tabbed", "2"), ("odd", "3"),
        ("two words", "4"),
    ])
    func `a cookie is found by its whole name, whose case matters`(
        name: String, value: String?
    ) throws {
        let list = try Self.list(
            "Host: h", "Cookie: a=1;b=; sid=abc ;\tSID=upper; sid=second", "X: sid=no",
            "cookie: other=x=y;; nothing; last=z",
            "Cookie: spaced =1; tabbed\t=2;\u{2003}odd\u{A0}=3; two words=4")
        let found = list.cookieRange(Array(name.utf8)).map {
            String(decoding: list.bytes[$0], as: UTF8.self)
        }
        #expect(found == value)
    }

    @Test func `the place of a value is that of the first field of its name`() throws {
        let list = try Self.list("X-User: one", "x-user: two", "Empty:")
        let range = try #require(list.valueRange(Array("x-user".utf8)))
        #expect(list.bytes[range].elementsEqual("one".utf8))
        #expect(list.valueRange(Array("empty".utf8))?.isEmpty == true)
        #expect(list.valueRange(Array("cookie".utf8)) == nil)
        #expect(list.cookieRange(Array("a".utf8)) == nil)
    }

    @Test func `a field knows its name and value`() throws {
        let list = try Self.list("X-One: a")
        let field = try #require(list.fields.first)
        #expect(list.name(of: field).elementsEqual("X-One".utf8))
        #expect(list.value(of: field).elementsEqual("a".utf8))
        #expect(list.isNamed(field, "x-one"))
        #expect(!list.isNamed(field, "x-two"))
        #expect(!list.isNamed(field, "x_one"))
    }

    @Test func `a character and the one 32 below it are not confused`() throws {
        // '@' and '`', '[' and '{' differ by the bit that tells cases apart.
        let list = try Self.list("A^b: 1", "A~b: 2", "A`b: 3")
        #expect(list.string("a~b") == "2")
        #expect(list.string("a`b") == "3")
        #expect(list.count(of: "a^b") == 1)
    }

    @Test func `a token is found in any element of any field of its name`() throws {
        let list = try Self.list("Connection: close ,\tkeep-alive", "Connection:  ,, UpGrade ,")
        for token in ["close", "keep-alive", "upgrade"] {
            #expect(list.listContains("connection", token: token))
        }
        for token in ["keep", "alive", "grade", "", "close ,\tkeep-alive"] {
            #expect(!list.listContains("connection", token: token))
        }
        #expect(list.connectionOptions == [.close, .keepAlive, .upgrade])
        #expect(!list.listContains("upgrade", token: "upgrade"))
    }

    @Test func `a known field is known in any case, and by its look-alikes`() throws {
        let names = [
            "close", "authorization", "client-cert", "client-cert-chain", "connection",
            "content-length", "expect", "forwarded", "host",
            "http2-settings",
            "keep-alive", "origin", "proxy-authenticate", "proxy-authorization", "proxy-connection",
            "strict-transport-security", "sec-websocket-accept", "sec-websocket-extensions",
            "sec-websocket-key", "sec-websocket-protocol", "sec-websocket-version", "te",
            "traceparent",
            "tracestate", "trailer",
            "transfer-encoding", "upgrade", "www-authenticate",
            "x-forwarded-for", "x-forwarded-host", "x-forwarded-port", "x-forwarded-proto",
            "x-forwarded-scheme", "x-forwarded-ssl", "x-real-ip",
        ]
        for (index, name) in names.enumerated() {
            let value = name == "transfer-encoding" ? "chunked" : "1"
            for text in [name, name.uppercased(), name.prefix(1).uppercased() + name.dropFirst()] {
                let field = try #require(try Self.list("\(text): \(value)").fields.first)
                #expect(Int(field.known.rawValue) == index + 1 && field.isExact, "\(text)")
            }
            for dash in ["_", "."] where name.contains("-") {
                let text = name.split(separator: "-").joined(separator: dash)
                let list = try Self.list("\(text): \(value)")
                let field = try #require(list.fields.first)
                #expect(Int(field.known.rawValue) == index + 1 && !field.isExact, "\(text)")
                #expect(list.known.isEmpty)
            }
            for text in [name + "x", "x" + name, String(name.dropLast()), "x" + name.dropFirst()]
            where !text.isEmpty && text != name {
                let field = try Self.list("\(text): \(value)").fields.first
                #expect(field?.known == .other, "\(text)")
            }
        }
    }

    @Test func `what Connection names is told apart from what it says of the connection`() throws {
        #expect(try Self.list("Host: a").connectionOptions == [])
        #expect(try Self.list("Connection: , ,").connectionOptions == [])
        #expect(try Self.list("Connection: Close").connectionOptions == .close)
        #expect(try Self.list("Connection: x-a").connectionOptions == .names)
        #expect(try Self.list("Connection: keep-alivex, clos").connectionOptions == .names)
    }

    /// Applications behind CGI take these names for the same field.
    @Test(arguments: ["X-User", "x-user", "X_User", "x.user"])
    func `a name stands for all that an application takes for it`(name: String) {
        let names = FieldNames(["X-User"])
        #expect(names.contains(name))
        #expect(FieldNames([name]).contains("X-User"))
        #expect(!names.contains("X-Users") && !names.contains("XUser"))
    }
}
