// SPDX-License-Identifier: Apache-2.0
//
// Goal: with `limits.targetBytes: 1MiB` a target of that length is judged, routed, answered and logged as a
// short one is, whatever stands in it, and others are served meanwhile.
// Method: the longest targets of every kind that costs work, one after the other on one reactor.

import TestKit
import Testing

@Suite struct LongTargetTests {
    /// With the rest of the head it is 1 MiB, which is the most that `limits.headBytes` may be.
    private static let length = 1_048_576 - 256

    /// As many as fit of a piece behind a beginning, up to the longest target that there may be.
    private static func target(_ begin: String, _ piece: String, _ end: String = "") -> String {
        let room = length - begin.utf8.count - end.utf8.count
        return begin + String(repeating: piece, count: room / piece.utf8.count) + end
    }

    private static let targets: [(String, target: String, status: Int)] = [
        ("a plain segment", target("/app/", "x"), 200),
        ("many segments", target("/app", "/x"), 200),
        ("dot segments", target("/app", "/."), 200),
        ("segments that go up", target("/app", "/x/.."), 200),
        // All go down first, and then up again.
        (
            "a long way up",
            "/app" + String(repeating: "/x", count: length / 5 - 8)
                + String(repeating: "/..", count: length / 5 - 8), 200
        ),
        ("escaped dots", target("/app", "/%2e"), 200),
        ("escapes that are not needed", target("/app/", "%7E"), 200),
        ("escapes that are", target("/app/", "%20"), 200),
        ("escaped slashes", target("/app/", "%2F"), 200),
        ("escaped slashes and dots", target("/app/x", "%2F.%2Fx"), 200),
        ("escaped backslashes", target("/app/", "%5C"), 200),
        ("a query", target("/app/?", "a=%2F&"), 200),
        ("above the root", target("/app", "/.."), 400),
        ("parameters", target("/app", "/;x"), 200),
        ("a redirect", target("/old/", "x/"), 308),
        ("a redirect of escapes", target("/old/", "%C3%A9"), 308),
        ("nowhere", target("/none", "/x"), 404),
        ("nowhere with escapes", target("/none/", "%09"), 404),
    ]

    @Test(arguments: targets.indices)
    func `a target of a mebibyte is served`(index: Int) throws {
        let (name, target, status) = Self.targets[index]
        let proxy = try ProxyFixture(
            routes: [
                "{ path: /app/*, respond: { status: 200, body: hello } }",
                "{ path: /app, respond: { status: 200, body: hello } }",
                "{ path: /old/*, redirect: { to: /new/*, status: 308 } }",
                "{ path: /short, respond: { status: 200, body: short } }",
            ], listeners: [.plain],
            settings: ["limits: { targetBytes: 1MiB, headBytes: 1MiB }"], workers: 1)
        let client = try proxy.connect(security: .plain)
        let begin = try processorTicks(of: proxy)
        try client.send("GET \(target) HTTP/1.1\r\nHost: localhost\r\n\r\n")
        let answer = try client.readResponse(by: .after(.seconds(60)))
        #expect(answer.status == status, "\(name): \(answer.text.prefix(200))")
        let spent = try processorTicks(of: proxy) - begin
        // Work that grows with the square of the length takes minutes of the processor's time; what grows
        // with the length takes less than a second, also where nothing is optimized.
        #expect(spent < 1_000, "\(name): \(spent) hundredths of a second")
        if status == 308 {
            let place = answer.head["Location"] ?? ""
            #expect(place.hasPrefix("/new/") && place.utf8.count > target.utf8.count - 16)
        }
        if status == 400 { return }
        // The same connection serves the next request, and the line of the first is whole.
        try client.send("GET /short HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        #expect(try client.readResponse().text == "short")
        try proxy.process.waitForLine(containing: "/short")
    }
}
