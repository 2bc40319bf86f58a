// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Wire

/// Tokens in requests, and requests without them.
struct TokenSearchTests {
    private static let places: [TokenPlace] = [
        .header, .cookie(Array("jwt".utf8)), .query(Array("t".utf8)),
        .subprotocol(Array("bearer.".utf8)),
    ]

    private func head(_ target: String, _ fields: [String]) throws -> RequestHead {
        var parser = RequestHeadParser()
        let lines = ["GET \(target) HTTP/1.1", "Host: a"] + fields
        let bytes = Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8)
        let progress = bytes.withUnsafeBytes { parser.append($0) }
        guard case .complete(let head, _) = progress else {
            Issue.record("\(progress)")
            throw HeadFault(status: 400, sentence: "no head")
        }
        return head
    }

    @Test(arguments: [
        ("/", ["Authorization: Bearer a.b.c"], ["a.b.c"], nil as String?, [] as [String]),
        ("/", ["authorization: bEARER   x", "X: y"], ["x"], nil, ["X: y"]),
        ("/", ["Authorization: Bearer"], [""], nil, []),
        ("/", ["Authorization: Basic x"], [], nil, ["Authorization: Basic x"]),
        (
            "/", ["Authorization: Basic x", "Authorization: Bearer y"], ["y", ""], nil,
            ["Authorization: Basic x"]
        ),
        ("/?t=1", [], ["1"], nil, []), ("/?a&t=1&b", [], ["1"], "a&b", []),
        ("/?t=1&t=2", [], ["1", "2"], nil, []), ("/?%74=1", [], ["1"], nil, []),
        ("/?t", [], [""], nil, []), ("/?", [], [], "", []), ("/?tt=1&T=2", [], [], "tt=1&T=2", []),
        ("/?%7", [], [], "%7", []), ("/?%", [], [], "%", []),
        ("/", ["Cookie: jwt=1"], ["1"], nil, []),
        ("/", ["Cookie: a=2;jwt=1"], ["1"], nil, ["Cookie: a=2"]),
        (
            "/", ["Cookie: jwt", "Cookie: jwt=1 ; b=jwt=3"], ["1"], nil,
            ["Cookie: jwt", "Cookie: b=jwt=3"]
        ),
        // Apps that trim names and values would read the other token.
        ("/", ["Cookie: jwt =2; jwt=1"], ["2", "1"], nil, []),
        ("/", ["Cookie: a=1; jwt\t=2", "Cookie: jwt=1"], ["2", "1"], nil, ["Cookie: a=1"]),
        ("/", ["Cookie: jwt\u{A0}=2;\u{2003}jwt=3; jwt=1"], ["2", "3", "1"], nil, []),
        (
            "/", ["Cookie: j wt=2; jwt a=3; =4; \u{A0}=5"], [], nil,
            [
                "Cookie: j wt=2; jwt a=3; =4; \u{A0}=5"
            ]
        ),
        ("/", ["Authorization: Bearer\t2", "Cookie: jwt=1"], ["2", "1"], nil, []),
        ("/", ["Authorization: \u{A0}bearer\u{A0}2"], ["2"], nil, []),
        ("/", ["Authorization: Bearer2 1"], [], nil, ["Authorization: Bearer2 1"]),
        (
            "/", ["Sec-WebSocket-Protocol: bearer.1", "Sec-WebSocket-Protocol: a,,b"], ["1"], nil,
            ["Sec-WebSocket-Protocol: a,,b"]
        ),
        (
            "/", ["Sec-WebSocket-Protocol: Bearer.1, bearer.2,bearer.", "Z: 1"], ["2", ""], nil,
            ["Sec-WebSocket-Protocol: Bearer.1", "Z: 1"]
        ),
    ])
    func `tokens are found and taken out`(
        target: String, fields: [String], tokens: [String], query: String?, left: [String]
    ) throws {
        let head = try head(target, fields)
        var request = try OrdinaryRequest.judge(head)
        let search = request.tokens(in: Self.places)
        #expect(search.tokens.map { String(decoding: $0, as: UTF8.self) } == tokens)
        request.takeOut(search)
        let found = request.target.query.map { String(decoding: $0, as: UTF8.self) }
        #expect(found == query)
        let list = request.head.fields
        let lines = list.fields.dropFirst().map { field in
            String(decoding: list.name(of: field), as: UTF8.self) + ": "
                + String(decoding: list.value(of: field), as: UTF8.self)
        }
        #expect(lines == left)
        #expect(list.known.has(.authorization) == left.contains { $0.hasPrefix("Authorization") })
        #expect(
            list.known.has(.secWebSocketProtocol)
                == left.contains { $0.hasPrefix("Sec-WebSocket-Protocol") })
    }
}
