// SPDX-License-Identifier: Apache-2.0
import Foundation
import Reactor
import Router
import TestKit
import Testing
import Wire

@testable import Frontend

/// Whoever reads cookies reads the same ones, however their names are written.
struct CookieReadersTests {
    private static let value = "00000000000000ff"

    private static func fields(_ cookies: String) throws -> FieldList {
        var parser = RequestHeadParser()
        let bytes = Array("GET / HTTP/1.1\r\nHost: h\r\nCookie: \(cookies)\r\n\r\n".utf8)
        guard case .complete(let head, _) = bytes.withUnsafeBytes({ parser.append($0) }) else {
            throw PeerError("the head can't be read")
        }
        return head.fields
    }

    /// What the sticky rule, the hash and the search for tokens find for `sid`, each as its value.
    private static func found(_ cookies: String) throws -> [String?] {
        let fields = try Self.fields(cookies)
        let name = Array("sid".utf8)
        let number = StickyRule(cookie: "sid", attributes: "").number(in: fields)
        let hash = HashSource.cookie(name).key(
            path: Array("/".utf8).span, fields: fields, client: .loopback(port: 1), captures: [])
        let token = TokenSearch([.cookie(name)], fields, query: nil).tokens.first
        return [
            number.map { $0 == 0xFF ? value : "another" },
            hash.map { $0 == StableHash.of(Array(value.utf8).span) ? value : "another" },
            token.map { String(decoding: $0, as: UTF8.self) },
        ]
    }

    @Test(arguments: [
        "sid=V", "sid =V", "sid\t=V", " sid \t=V ", "a=1; sid =V;b=2", "a=1;sid=V", "sid\u{A0}=V",
        "\u{2003}sid=V", "sid =V; sid=other", "Sid=no; sid=V; sid =other", "sid; sid=V",
    ])
    func `all find a cookie whose name has white space around it`(cookies: String) throws {
        let text = cookies.replacingOccurrences(of: "V", with: Self.value)
        #expect(try Self.found(text) == [Self.value, Self.value, Self.value])
    }

    @Test(arguments: ["", "sid", "s id=V", "SID=V", "xsid=V", "sidx=V", "a=sid=V", "=V", "sid;=V"])
    func `none finds another`(cookies: String) throws {
        let text = cookies.replacingOccurrences(of: "V", with: Self.value)
        #expect(try Self.found(text) == [nil, nil, nil])
    }
}
