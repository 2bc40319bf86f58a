// SPDX-License-Identifier: Apache-2.0
import Config

extension FuzzTarget {
    /// Any text is a configuration, or has problems: each with a sentence, and at a place that is in
    /// the file.
    static let configuration = FuzzTarget(
        name: "configuration", inputBytesMax: 2_048,
        words: configurationWords.map { Array($0.utf8) },
        seeds: configurationTexts.map { Array($0.utf8) }
    ) { bytes throws(BrokenProperty) in
        // A file that is not UTF-8 is refused before it is looked at.
        guard let text = String(validating: Array(bytes), as: UTF8.self) else { return }
        let first = outcome(of: text)
        let second = outcome(of: text)
        switch (first, second) {
        case (.success(let configuration), .success(let again)):
            try require(configuration == again, "Reading a file twice gives the same.")
            try requireUsable(configuration)
        case (.failure(let problems), .failure(let again)):
            try requireEqual(problems, again, "Reading a file twice finds the same problems.")
            try requireTold(problems.problems, of: text)
        default: throw BrokenProperty("Reading a file twice gives the same.")
        }
    }

    private static let configurationWords = [
        "listen:", "routes:", "upstreams:", "address:", "path:", "to:", "host:", "tls:",
        "certificates:",
        "chain:", "key:", "endpoints:", "limits:", "timeouts:", "drain:", "log:", "origins:",
        "rewrite:",
        "redirect:", "respond:", "request:", "set:", "health:", "pool:", "queue:", "balance:",
        "admin:",
        "resolver:", "ping:", "trustedProxies:", "\"ws://[::1]:80\"", "unix:/a", "srv:_a._b.c", "*",
        "&a",
        "*a", "!!int", "<<:", "? ", "- ", ": ", "|\n", ">-\n", "---\n", "...\n", "%YAML 1.2\n", "{",
        "}",
        "[", "]", ", ", "'", "\"", "\\u2028", "\u{85}", "\u{2028}", "\u{FEFF}", "\r", "\t", "#",
        "30s",
        "access:", "addresses:", "allow:", "deny:", "basic:", "file:", "listen: [a]", "name:",
        "when:",
        "upgrade:", "methods:", "fields:", "query:", "{a}", "/{a}", "{{", "{client}", "sticky:",
        "cookie:",
        "url:", "weight:", "forwarded:", "via:",
        "64KiB", "0", "-1", "999999999999999999999", "true", "null", "~",
    ]

    private static let configurationTexts = [
        """
        listen:
          - address: "[::]:8443"
            tls:
              certificates: [{ chain: a.pem, key: /b.pem }]
              minimumVersion: 1.3
              hsts: { maxAge: 180d, preload: true }
          - { address: ":8080", redirect: https, proxyProtocol: required, trustedProxies: [10.0.0.0/8] }
        routes: [{ path: /chat/*, host: "*.example.com", to: chat, rewrite: /socket/*,
            origins: [same, "https://a.example", null], limits: { messageBytes: 1MiB, relays: 9 },
            ping: { every: 20s, to: both }, request: { remove: [Cookie], set: { X-A: "1" } } },
          { path: /h, respond: { status: 204, body: "" } },
          { path: /old/*, redirect: { to: "https://a.example/new/*", status: 301 } }]
        upstreams:
          chat: { endpoints: ["ws://10.0.0.1:9000", "unix:/a.sock"], balance: roundRobin,
            health: { kind: http, path: /h, status: [200] }, pool: { max: 7 }, queue: { wait: 3s } }
        """,
        """
        listen: [{ address: ":1" }]
        routes: [{ path: /, to: "ws://[::1]:2" }]
        timeouts: { head: 3s, keepAlive: 10s }
        drain: { timeout: 60s, code: 1012, reason: "see you", spread: 20s }
        admin: { socket: /a.sock, address: "127.0.0.1:9901" }
        log: { format: json, access: stdout, events: journald }
        resolver: { servers: [192.0.2.1, "[::1]:54"] }
        limits: { headBytes: 32KiB, connections: 20000 }
        workers: 3
        """,
        """
        listen: [{ address: ":1", name: inner }, { address: ":2" }]
        routes:
          - path: /ocpp/{station}
            to: app
            listen: [inner]
            when: { upgrade: true, methods: [GET], fields: { X-A: b* }, query: { v: "1" } }
            rewrite: /v16/{station}
            access: { addresses: { allow: [10.0.0.0/8], deny: ["::1"] }, basic: { file: users, realm: a } }
            request: { set: { X-Real-IP: "{client}", X-B: "{station}$alpn" } }
            answer: { add: { X-C: "{subject} {{" } }
            timeouts: { answer: 3s }
            via: false
            forwarded: { xForwarded: false, port: 443 }
        upstreams:
          app:
            endpoints: [{ url: "ws://h:1", weight: 0, name: blue }, "srv:_a._b.c"]
            balance: hash(path:station)
            sticky: { cookie: s, maxAge: 1h, path: /a, sameSite: none }
        """,
        "a: b: c", "a: {b: 1, b: 2}", "- &a [*a]", "listen:\n\t- x", "routes: [a",
        "%YAML 1.1\n--- |\n x\n",
    ]
}

private func outcome(of text: String) -> Result<Configuration, ConfigurationProblems> {
    do throws(ConfigurationProblems) {
        return .success(try Configuration.load(yaml: text, file: "sluice.yaml"))
    } catch {
        return .failure(error)
    }
}

/// States what every configuration has that was accepted.
private func requireUsable(_ configuration: Configuration) throws(BrokenProperty) {
    try require(!configuration.listen.isEmpty, "A configuration listens somewhere.")
    try require(!configuration.routes.isEmpty, "A configuration has a route.")
}

/// States that problems can be told, and are in the order of the file.
private func requireTold(
    _ problems: [ConfigurationProblem], of text: String
) throws(BrokenProperty) {
    try require(!problems.isEmpty, "A file that is refused has a problem.")
    let lines = yamlLines(text)
    var last = (line: 1, column: 1)
    for problem in problems {
        let place = problem.place
        try require(
            !problem.sentence.isEmpty && !problem.description.isEmpty, "A problem has a sentence.")
        try require(
            1...lines.count ~= place.line,
            "The place is in the file, of \(lines.count) lines: \(problem)")
        try require(
            1...lines[place.line - 1] + 1 ~= place.column,
            "The place is in its line, of \(lines[place.line - 1]) characters: \(problem)")
        try require(
            (place.line, place.column) >= last, "Problems come in the order of the file: \(problem)"
        )
        last = (place.line, place.column)
    }
}

/// How many characters each line has, by YAML's line breaks (YAML 1.1 §5.4).
private func yamlLines(_ text: String) -> [Int] {
    var lengths = [0]
    var previous: Unicode.Scalar = " "
    for scalar in text.unicodeScalars {
        let isBreak = ["\r", "\n", "\u{85}", "\u{2028}", "\u{2029}"].contains(scalar)
        if isBreak {
            if scalar != "\n" || previous != "\r" { lengths.append(0) }
        } else {
            lengths[lengths.count - 1] += 1
        }
        previous = scalar
    }
    return lengths
}
