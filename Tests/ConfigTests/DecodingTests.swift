// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Config

/// What valid files mean.
struct DecodingTests {
    @Test func `the smallest file has every default`() throws {
        let configuration = try Configuration.load(
            yaml: """
                listen: [{ address: "127.0.0.1:8080" }]
                routes: [{ path: /a, to: "ws://127.0.0.1:9000" }]
                """, file: "sluice.yaml")
        let expected = Configuration(
            listen: [
                with(ListenerSettings(address: "127.0.0.1:8080", place: at(1, 10))) {
                    $0.addressPlace = at(1, 21)
                }
            ],
            routes: [
                RouteSettings(
                    path: "/a", to: .endpoint(.tcp(host: "127.0.0.1", port: 9000)),
                    place: at(2, 10),
                    places: places(route: at(2, 10), path: at(2, 18)))
            ])
        #expect(configuration == expected)
        #expect(
            configuration.drain
                == with(DrainSettings()) {
                    $0.timeout = .seconds(30)
                    $0.code = 1001
                })
        #expect(configuration.limits.connections == nil)
        #expect(configuration.workers == nil)
    }

    @Test func `every key is read`() throws {
        let configuration = try Configuration.load(
            yaml: everything, file: "/etc/sluice/sluice.yaml")
        let tls = try #require(configuration.listen.first?.tls)
        #expect(configuration.listen.map(\.address) == ["[::]:8443", ":8080", "unix:/run/s.sock"])
        #expect(tls.minimumVersion == .tls13)
        #expect(tls.protocols == [.http2, .http11])
        #expect(
            configuration.listen.first?.http2
                == with(HTTP2Settings()) {
                    $0.websockets = false
                    $0.maxStreams = 9
                    $0.windowBytes = 1_048_576
                    $0.resetsPerSecond = 8
                    $0.pingAfter = .seconds(7)
                    $0.pingTimeout = .seconds(6)
                })
        #expect(
            configuration.listen.map(\.protocolNames)
                == [["h2", "http/1.1"], ["http/1.1"], ["http/1.1"]])
        #expect(tls.cipherSuites == "TLS_AES_128_GCM_SHA256")
        #expect(tls.ciphers == "ECDHE-RSA-AES128-GCM-SHA256")
        #expect(tls.groups?.map(\.name) == ["P-384", "X25519"])
        #expect(tls.certificates.map(\.chain) == ["/etc/sluice/certs/a.pem", "/srv/b.pem"])
        #expect(tls.certificates.map(\.key) == ["/etc/sluice/certs/a-key.pem", "/srv/b-key.pem"])
        let route = try #require(configuration.routes.first)
        #expect(route.path == "/chat/*")
        #expect(route.host == "*.example.com")
        #expect(route.to == .upstream("chat"))
        #expect(route.rewrite == "/socket/*")
        #expect(route.escapedSlash == .reject)
        #expect(route.origins == .list(same: true, origins: ["https://example.com", "null"]))
        #expect(route.accept.missingConnection && route.accept.anyKeyLength)
        #expect(
            route.ping
                == with(PingSettings()) {
                    $0.every = .seconds(20)
                    $0.timeout = .seconds(5)
                    $0.to = .both
                })
        #expect(route.idle == .seconds(600))
        #expect(route.lifetime == .seconds(43_200))
        #expect(route.access?.addresses?.allow.map(\.block) == ["10.0.0.0/8"])
        #expect(route.access?.basic?.file == "/etc/sluice/users")
        #expect(route.access?.basic?.realm == "lab")
        let token = try #require(route.access?.token)
        #expect(token.keys == .url("https://issuer.test/keys"))
        #expect(token.authorities == "/etc/sluice/ca.pem")
        #expect(token.issuers == ["issuer"] && token.audiences == ["a", "b"])
        #expect(token.from == [.header, .cookie("c"), .query("q"), .subprotocol("p.")])
        #expect(token.claims == [TokenSettings.Claim(name: "role", values: ["x", "y"])])
        #expect(token.forward == [TokenSettings.Told(field: "X-User", claim: "sub")])
        #expect(token.leeway == .seconds(5))
        #expect(token.end?.code == 4_002 && token.end?.before == .seconds(10))
        let rule = route.access?.clientCertificate
        #expect(rule?.names == ["*.example.com"] && rule?.subjects == ["CN=a,O=b"])
        #expect(rule?.fingerprints == [String(repeating: "ab", count: 32)] && rule?.tell == .chain)
        #expect(tls.clientCertificates?.authorities == "/etc/sluice/ca.pem")
        #expect(tls.clientCertificates?.revoked == "/etc/sluice/crl.pem")
        #expect(tls.clientCertificates?.mode == .required)
        let forward = route.access?.forward
        #expect(forward?.to == .endpoint(.tcp(host: "h", port: 1)) && forward?.path == "/verify")
        #expect(forward?.fields == ["Remote-User"] && forward?.code == 4_401)
        #expect(forward?.timeout == .seconds(2) && forward?.recheck == .seconds(300))
        #expect(forward?.cache == .seconds(5))
        #expect(route.access?.addresses?.deny.map(\.block) == ["10.1.0.0/16"])
        #expect(route.limits.messageBytes == 1_048_576)
        #expect(route.places.host.line == 15)
        #expect(route.limits.bodyBytes == 2_097_152)
        #expect(route.limits.relays == 9_000)
        #expect(route.limits.relaysPerClient == 20)
        #expect(route.limits.newRelaysPerSecond == 3)
        #expect(
            route.request
                == FieldSettings(
                    remove: ["Cookie"], set: [.init(name: "X-A", value: "1")],
                    add: [.init(name: "X-B", value: "2")]))
        #expect(route.upstreamHost == .upstream)
        #expect(
            route.answer
                == FieldSettings(
                    remove: ["Server"], set: [.init(name: "X-C", value: "3")],
                    add: [.init(name: "X-D", value: "4")]))
        #expect(
            configuration.routes.dropFirst().map(\.to) == [
                .respond(
                    with(RespondSettings()) {
                        $0.status = 204
                        $0.body = ""
                        $0.type = "text/html"
                    }),
                .redirect(
                    with(RedirectSettings(origin: "https://example.com", path: "/new/*")) {
                        $0.status = 301
                    }),
                .upstream("chat"),
            ])
        #expect(tls.hsts?.value == "max-age=15552000; includeSubDomains; preload")
        #expect(configuration.listen.map(\.redirectsToHTTPS) == [false, true, false])
        let chat = try #require(configuration.upstreams["chat"])
        #expect(
            chat.pool
                == with(PoolSettings()) {
                    $0.max = 7
                    $0.idle = .seconds(2)
                })
        #expect(
            chat.endpoints.map(\.address) == [
                .tcp(host: "10.0.0.1", port: 9000), .tcp(host: "::1", port: 80),
                .unix(path: "/run/chat.sock"),
            ])
        #expect(chat.endpoints.map(\.weight) == [nil, nil, 3])
        #expect(chat.endpoints.map(\.label) == ["ws://10.0.0.1:9000", "ws://[::1]:80", "blue"])
        #expect(
            route.timeouts
                == with(RouteTimeouts()) {
                    $0.connect = .seconds(1)
                    $0.upgrade = .seconds(2)
                    $0.answer = .seconds(3)
                    $0.body = .seconds(4)
                    $0.answerBody = .seconds(5)
                })
        #expect(
            route.forwarded
                == with(ForwardedSettings()) {
                    $0.xForwarded = false
                    $0.forwarded = false
                    $0.port = .number(8_443)
                })
        #expect(!route.via)
        #expect(configuration.listen.map(\.name) == [nil, nil, "inner"])
        #expect(route.listen == ["inner"])
        #expect(
            route.when
                == with(WhenSettings()) {
                    $0.upgrade = true
                    $0.methods = ["GET"]
                    $0.fields = [.init(name: "X-A", value: "b")]
                    $0.query = [.init(name: "c", value: "d*")]
                })
        #expect(chat.balance == .roundRobin)
        #expect(chat.cooldown == .milliseconds(1_500))
        #expect(chat.cooldownMax == .seconds(60))
        #expect(chat.failedUpgrades == 4)
        #expect(chat.slowStart == .seconds(30))
        #expect(chat.maxConnections == 500)
        #expect(chat.queue?.wait == .seconds(3))
        #expect(chat.queue?.size == 9)
        #expect(
            chat.sticky
                == with(StickySettings()) {
                    $0.cookie = "srv"
                    $0.maxAge = .seconds(3_600)
                    $0.path = "/app"
                    $0.sameSite = .none
                })
        #expect(chat.source.map(\.address) == ["192.0.2.1", "2001:db8::1"])
        var health = HealthSettings()
        health.kind = .http
        health.path = "/healthz?deep=1"
        health.host = "app.internal:3000"
        health.status = [200, 204]
        health.every = .seconds(11)
        health.timeout = .milliseconds(700)
        health.rise = 6
        health.fall = 8
        #expect(chat.health == health)
        var drain = with(DrainSettings()) {
            $0.timeout = .seconds(60)
            $0.code = 1012
        }
        drain.reason = "see you"
        drain.spread = .seconds(20)
        drain.delay = .seconds(5)
        #expect(configuration.drain == drain)
        #expect(configuration.admin.socket == .path("/run/s/admin.sock"))
        #expect(configuration.admin.address == "127.0.0.1:9901")
        #expect(configuration.admin.token == "/etc/sluice/admin.token")
        #expect(configuration.admin.tap == .payloads)
        #expect(configuration.watch)
        #expect(configuration.listen.map(\.proxyProtocol) == [.none, .required, .none])
        #expect(route.onRemove == .drain)
        #expect(configuration.routes.map(\.metrics.captures) == [[], [], [], ["room"]])
        #expect(
            configuration.timeouts
                == with(TimeoutSettings()) {
                    $0.clientHello = .seconds(1)
                    $0.handshake = .seconds(2)
                    $0.head = .seconds(3)
                    $0.connect = .seconds(4)
                    $0.upgrade = .seconds(300)
                    $0.answer = .seconds(7)
                    $0.body = .seconds(8)
                    $0.answerBody = .seconds(9)
                    $0.keepAlive = .seconds(10)
                    $0.closing = .seconds(6)
                    $0.linger = .zero
                })
        var log = with(LogSettings()) {
            $0.format = .json
            $0.access = .file("/etc/sluice/log/a.log")
        }
        log.events = .journald(nil)
        log.relayOpens = false
        log.relayEnds = false
        log.accessPlace = configuration.log.accessPlace
        log.eventsPlace = configuration.log.eventsPlace
        #expect(configuration.log == log)
        #expect(configuration.log.accessPlace?.line == 65)
        #expect(configuration.log.eventsPlace?.line == 65)
        #expect(
            configuration.resolver.servers == [
                "192.0.2.1:53", "192.0.2.2:5353", "[::1]:53", "[::1]:54",
            ])
        var limits = with(GlobalLimits()) {
            $0.headBytes = 32_768
            $0.headFields = 64
            $0.targetBytes = 4_096
            $0.connections = 20_000
            $0.requestsPerConnection = 5
            $0.handshakesPerTurn = 4
            $0.relayBufferBytes = 1_000_000
        }
        limits.connectionsPerClient = 100
        limits.newConnectionsPerSecond = 10
        #expect(configuration.limits == limits)
        let traces = try #require(configuration.traces)
        #expect(traces.endpoint == "https://tempo.example:4318/v1/traces")
        #expect(traces.samplePerMillion == 2_500 && traces.sampleText == "0.25%")
        #expect(traces.serviceName == "edge")
        #expect(traces.authorities == "/etc/sluice/ca.pem")
        #expect(traces.timeout == .seconds(3))
        #expect(traces.queue == 99)
        #expect(traces.headers.map(\.name).sorted() == ["Authorization", "X-Scope"])
        #expect(
            traces.headers.map(\.source).contains(.file("/etc/sluice/secrets/token"))
                && traces.headers.map(\.source).contains(.text("one")))
        #expect(configuration.metrics.address == ":9902")
        #expect(configuration.workers == 3)
        #expect(configuration.allowsFaults)
        #expect(configuration.tls.records == .openssl)
        #expect(!configuration.tls.release)
    }

    @Test func `every key that the decoder knows stands in that file`() {
        for section in KeySection.all {
            for key in section.keys {
                #expect(everything.contains("\(key.name):"), "\(section.title) \(key.name)")
            }
        }
    }

    @Test(arguments: [
        ("leastConnections", UpstreamSettings.Balance.leastConnections),
        ("roundRobin", .roundRobin), ("random2", .random2), ("hash(path)", .hash(.path)),
        ("hash(header:X-User)", .hash(.header("X-User"))),
        ("hash(cookie:sid)", .hash(.cookie("sid"))), ("hash(client)", .hash(.client)),
    ])
    func `each balance is written as it is read`(
        text: String, expected: UpstreamSettings.Balance
    ) throws {
        let yaml = """
            listen: [{ address: ":0" }]
            routes: [{ path: /a, to: u }]
            upstreams: { u: { endpoints: ["ws://h:1"], balance: \(text) } }
            """
        let configuration = try Configuration.load(yaml: yaml, file: "sluice.yaml")
        #expect(configuration.upstreams["u"]?.balance == expected)
        #expect(expected.description == text)
    }

    @Test(arguments: [
        ("{}", HealthSettings.Kind.tcp), ("{ path: /up }", .http), ("{ kind: http }", .http),
        ("{ kind: websocket, path: /Esv/ocp }", .websocket), ("{ kind: tcp }", .tcp),
    ])
    func `who names a path for checks means HTTP`(text: String, kind: HealthSettings.Kind) throws {
        let yaml = """
            listen: [{ address: ":0" }]
            routes: [{ path: /a, to: u }]
            upstreams: { u: { endpoints: ["ws://h:1"], health: \(text) } }
            """
        let configuration = try Configuration.load(yaml: yaml, file: "sluice.yaml")
        #expect(configuration.upstreams["u"]?.health?.kind == kind)
    }

    @Test(arguments: [
        ("any", OriginSettings.any),
        ("[any]", .any),
        ("same", .same),
        ("[same]", .same),
        ("[]", .list(same: false, origins: [])),
        ("[null]", .list(same: false, origins: ["null"])),
        ("https://a.example:8443", .list(same: false, origins: ["https://a.example:8443"])),
        ("chrome-extension://ab", .list(same: false, origins: ["chrome-extension://ab"])),
        ("\"vscode-webview://*\"", .list(same: false, origins: ["vscode-webview://*"])),
        ("\"https://*.a.example:8443\"", .list(same: false, origins: ["https://*.a.example:8443"])),
        ("\"file://\"", .list(same: false, origins: ["file://"])),
        ("\"app+v1.2-x://-\"", .list(same: false, origins: ["app+v1.2-x://-"])),
        ("https://a.example/lib", .list(same: false, origins: ["https://a.example/lib"])),
        ("[\"http://[::1]:3000\", same]", .list(same: true, origins: ["http://[::1]:3000"])),
    ])
    func `origins are a word, an origin or a list`(text: String, expected: OriginSettings) throws {
        let configuration = try Configuration.load(
            yaml: """
                listen: [{ address: ":0" }, { address: ":0" }]
                routes: [{ path: /a, to: "ws://h:1", origins: \(text) }]
                """, file: "sluice.yaml")
        #expect(configuration.routes.map(\.origins) == [expected])
    }

    @Test(arguments: [
        ("stdout", LogSettings.Target.stdout), ("stderr", .stderr), ("off", .off),
        ("journald", .journald(nil)), ("journald:/run/other", .journald("/run/other")),
    ])
    func `access lines go to a stream, the journal or nowhere`(
        word: String, access: LogSettings.Target
    ) throws {
        let configuration = try Configuration.load(
            yaml: smallest + "log: { access: \(word) }", file: "sluice.yaml")
        #expect(configuration.log.access == access)
    }

    @Test func `paths stay as they are when the file was named without a folder`() throws {
        let configuration = try Configuration.load(
            yaml: smallest + "log: { access: ./a.log }", file: "sluice.yaml")
        #expect(configuration.log.access == .file("./a.log"))
    }

    @Test func `an anchor stands for what it names`() throws {
        let configuration = try Configuration.load(
            yaml: smallest + """
                upstreams:
                  a: &a { endpoints: ["ws://h:1"] }
                  b: *a
                """, file: "sluice.yaml")
        #expect(configuration.upstreams["a"] == configuration.upstreams["b"])
    }

    @Test(
        arguments: [
            ("$tlsVersion", [.placeholder(.tlsVersion)]),
            (
                "v=$tlsVersion;$alpn",
                [
                    .text("v="), .placeholder(.tlsVersion), .text(";"), .placeholder(.alpn),
                ]
            ),
            (
                "$tlsGroup$tlsCipher.",
                [.placeholder(.tlsGroup), .placeholder(.tlsCipher), .text(".")]
            ),
            ("$$tlsVersion", [.text("$tlsVersion")]),
            ("$$$alpn", [.text("$"), .placeholder(.alpn)]),
            ("5 $", [.text("5 $")]), ("$5.00", [.text("$5.00")]),
            ("${x}", [.text("$"), .capture("x")]),
            ("", [.text("")]), ("{client}", [.word(.client)]),
            (
                "{scheme}://{host}:{port}/{id}",
                [
                    .word(.scheme), .text("://"), .word(.host), .text(":"), .word(.port),
                    .text("/"),
                    .capture("id"),
                ]
            ),
            ("{{client}", [.text("{client}")]), ("{{{client}", [.text("{"), .word(.client)]),
            ("{\"a\": 1}", [.text("{\"a\": 1}")]), ("{", [.text("{")]), ("{}", [.text("{}")]),
            ("{a b}", [.text("{a b}")]), ("{1}", [.text("{1}")]), ("{sni", [.text("{sni")]),
        ] as [(String, [FieldValue.Part])])
    func `a field's value is text with placeholders`(text: String, parts: [FieldValue.Part]) throws
    {
        #expect(try FieldValue(parsing: text, isRequest: true).parts == parts)
    }

    @Test func `quick mode tells the app of the client's TLS`() throws {
        let configuration = Configuration.quick(
            listen: [":1"], tls: nil, to: .tcp(host: "127.0.0.1", port: 3000))
        let set = try #require(configuration.routes.first?.request.set)
        #expect(set.map(\.name) == ["X-TLS-Version", "X-TLS-Cipher", "X-TLS-Group", "X-TLS-ALPN"])
        #expect(
            set.map(\.value.parts) == [
                [.placeholder(.tlsVersion)], [.placeholder(.tlsCipher)], [.placeholder(.tlsGroup)],
                [.placeholder(.alpn)],
            ])
    }

    @Test func `quick mode is one route behind its listeners`() {
        let tls = TLSSettings(certificates: [CertificateSettings(chain: "c.pem", key: "k.pem")])
        let configuration = Configuration.quick(
            listen: ["127.0.0.1:8443", "[::1]:8443"], tls: tls,
            to: .tcp(host: "127.0.0.1", port: 3000))
        #expect(configuration.listen.map(\.address) == ["127.0.0.1:8443", "[::1]:8443"])
        #expect(configuration.listen.allSatisfy { $0.tls == tls })
        #expect(tls.protocols == [.http2, .http11])
        #expect(configuration.routes.map(\.path) == ["/*"])
        #expect(configuration.routes.first?.place.description == "quick mode")
    }

    @Test func `a file of many routes is read in time that grows with it only`() throws {
        var yaml = "listen: [{ address: \":1\" }]\nroutes:\n"
        for index in 0..<5_000 { yaml += "  - { path: /r/\(index), to: u\(index % 100) }\n" }
        yaml += "upstreams:\n"
        for index in 0..<100 { yaml += "  u\(index): { endpoints: [\"ws://h:1\"] }\n" }
        let configuration = try Configuration.load(yaml: yaml, file: "sluice.yaml")
        #expect(configuration.routes.count == 5_000)
        #expect(configuration.routes.last?.place.line == 5_002)
    }
}

let smallest = """
    listen: [{ address: ":1" }]
    routes: [{ path: /a, to: "ws://h:1" }]

    """

let everything = """
    listen:
      - address: "[::]:8443"
        tls:
          certificates: [{ chain: certs/a.pem, key: certs/a-key.pem }, { chain: /srv/b.pem, key: /srv/b-key.pem }]
          minimumVersion: 1.3
          protocols: [h2, http/1.1]
          cipherSuites: TLS_AES_128_GCM_SHA256
          ciphers: ECDHE-RSA-AES128-GCM-SHA256
          groups: [P-384, X25519]
          clientCertificates: { ca: ca.pem, mode: required, revoked: crl.pem }
          hsts: { maxAge: 180d, includeSubdomains: true, preload: true }
        http2: { websockets: false, maxStreams: 9, windowBytes: 1MiB, resetsPerSecond: 8, pingAfter: 7s, pingTimeout: 6s }
      - { address: ":8080", redirect: https, proxyProtocol: required, trustedProxies: [10.0.0.0/8] }
      - { address: "unix:/run/s.sock", name: inner }
    routes: [{ path: /chat/*, host: "*.example.com", to: chat, rewrite: /socket/*, escapedSlash: reject,
        origins: [same, "https://example.com", null], accept: { missingConnection: true, anyKeyLength: true }, limits: { messageBytes: 1MiB, bodyBytes: 2MiB,
        relays: 9000, relaysPerClient: 20, newRelaysPerSecond: 3, messagesPerSecond: 200, fragments: 64,
        bytesPerSecond: 2MiB, messagesPerSecondPerClient: 300, bytesPerSecondPerClient: 3MiB },
        access: { addresses: { allow: [10.0.0.0/8], deny: [10.1.0.0/16] }, basic: { file: users, realm: lab },
          jwt: { keys: "https://issuer.test/keys", ca: ca.pem, issuer: issuer, audience: [a, b], from: [header, "cookie:c", "query:q", "subprotocol:p."],
            claims: { role: [x, y] }, forward: { X-User: sub }, leeway: 5s, endsWithToken: { code: 4002, before: 10s } },
          clientCertificate: { names: ["*.example.com"], subjects: ["CN=a,O=b"], fingerprints: ["\(String(repeating: "AB", count: 32))"], tell: chain },
          forward: { to: "http://h:1", path: /verify, timeout: 2s, fields: [Remote-User], recheck: 5m, cache: 5s, code: 4401 } },
        listen: [inner], when: { upgrade: true, methods: [GET], fields: { X-A: b }, query: { c: d* } },
        timeouts: { connect: 1s, upgrade: 2s, answer: 3s, body: 4s, answerBody: 5s }, via: false,
        forwarded: { xForwarded: false, forwarded: false, port: 8443 },
        ping: { every: 20s, timeout: 5s, to: both }, idle: 10m, lifetime: 12h, onRemove: drain,
        faults: { latency: 200ms, jitter: 50ms, bandwidth: 64KiB, stall: 5s, stallEvery: 30s, cut: 1%, reset: 0.5%,
          refuse: 10%, share: 20%, level: bytes, for: 1m },
        request: { remove: [Cookie], set: { X-A: "1" }, add: { X-B: "2" }, host: upstream },
        answer: { remove: [Server], set: { X-C: "3" }, add: { X-D: "4" } } },
      { path: /healthz, respond: { status: 204, body: "", type: text/html } },
      { path: /old/*, redirect: { to: "https://example.com/new/*", status: 301 } },
      { path: "/rooms/{room}", to: chat, metrics: { captures: [room] } }]
    upstreams:
      chat:
        endpoints: ["ws://10.0.0.1:9000", "ws://[::1]", { url: "unix:///run/chat.sock", weight: 3, name: blue }]
        resolve: each
        balance: roundRobin
        cooldown: 1500ms
        cooldownMax: 1m
        failedUpgrades: 4
        slowStart: 30s
        maxConnections: 500
        proxyProtocol: v1
        source: [192.0.2.1, "2001:db8::1"]
        queue: { wait: 3s, size: 9 }
        sticky: { cookie: srv, maxAge: 1h, path: /app, sameSite: none }
        health: { kind: http, path: "/healthz?deep=1", host: "app.internal:3000", status: [200, 204],
          every: 11s, timeout: 700ms, rise: 6, fall: 8 }
        pool: { max: 7, idle: 2s }
      secure:
        endpoints: ["wss://10.0.0.1"]
        tls: { ca: ca.pem, serverName: app.internal, minimumVersion: "1.3", verify: true,
          certificate: { chain: c.pem, key: k.pem } }
    drain: { timeout: 60s, code: 1012, reason: "see you", spread: 20s, delay: 5s }
    admin: { socket: /run/s/admin.sock, address: "127.0.0.1:9901", token: admin.token, tap: payloads }
    metrics: { address: ":9902" }
    traces: { endpoint: "https://tempo.example:4318", sample: 0.25%, serviceName: edge, ca: ca.pem, timeout: 3s, queue: 99,
        headers: { X-Scope: one, Authorization: "file:secrets/token" } }
    watch: true
    allowFaults: true
    timeouts: { clientHello: 1s, handshake: 2s, head: 3s, connect: 4s, upgrade: 5m, answer: 7s, body: 8s, answerBody: 9s,
        keepAlive: 10s, closing: 6s, linger: 0s }
    log: { format: json, access: log/a.log, events: journald, relayOpens: false, relayEnds: false }
    resolver: { servers: [192.0.2.1, "192.0.2.2:5353", "::1", "[::1]:54"] }
    limits: { headBytes: 32KiB, headFields: 64, targetBytes: 4KiB, connections: 20000, connectionsPerClient: 100, newConnectionsPerSecond: 10, requestsPerConnection: 5,
        handshakesPerTurn: 4, relayBufferBytes: 1MB }
    workers: 3
    tls: { records: openssl, keySchedule: openssl, release: false }
    """

private func at(_ line: Int, _ column: Int) -> SourcePlace {
    SourcePlace(file: "sluice.yaml", line: line, column: column)
}

private func places(route: SourcePlace, path: SourcePlace) -> RouteSettings.Places {
    var places = RouteSettings.Places(all: route)
    places.path = path
    return places
}
