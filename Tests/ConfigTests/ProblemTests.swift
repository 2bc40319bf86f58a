// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Config

/// The exact line for every kind of problem.
///
/// Each case is what stands behind a file that is fine.
struct ProblemTests {
    @Test(arguments: [
        (
            "drian: {}",
            "3:1: unknown key 'drian', allowed: listen, routes, upstreams, drain, timeouts, log, limits, admin, metrics, traces, resolver, tls, watch, allowFaults, workers (did you mean 'drain'?)"
        ),
        (
            "adminn: {}",
            "3:1: unknown key 'adminn', allowed: listen, routes, upstreams, drain, timeouts, log, limits, admin, metrics, traces, resolver, tls, watch, allowFaults, workers (did you mean 'admin'?)"
        ),
        (
            "drain: { pause: 10s }",
            "3:10: drain: unknown key 'pause', allowed: timeout, code, reason, spread, delay"
        ),
        (
            "admin: { tap: on }",
            "3:15: admin.tap: found 'on', allowed: off, headers, payloads"
        ),
        (
            "[a]: 1",
            "3:1: unknown key a list, allowed: listen, routes, upstreams, drain, timeouts, log, limits, admin, metrics, traces, resolver, tls, watch, allowFaults, workers"
        ),
        (
            "drain:",
            "3:7: drain: found nothing, allowed: a mapping with timeout, code, reason, spread, delay"
        ),
        (
            "drain: 30s",
            "3:8: drain: found '30s', allowed: a mapping with timeout, code, reason, spread, delay"
        ),
        (
            "drain: [30s]",
            "3:8: drain: found a list, allowed: a mapping with timeout, code, reason, spread, delay"
        ),
    ])
    func `keys and shapes`(yaml: String, line: String) {
        expect(smallest + yaml, line)
    }

    @Test(arguments: [
        (
            "drain: { timeout: 30 }",
            "3:19: drain.timeout: found '30', allowed: a whole number with ms, s, m, h or d, as in 30s (did you mean '30s'?)"
        ),
        (
            "drain: { timeout: 30sec }",
            "3:19: drain.timeout: found '30sec', allowed: a whole number with ms, s, m, h or d, as in 30s (did you mean '30s'?)"
        ),
        (
            "drain: { timeout: 1.5s }",
            "3:19: drain.timeout: found '1.5s', allowed: a whole number with ms, s, m, h or d, as in 30s"
        ),
        (
            "drain: { timeout: -1s }",
            "3:19: drain.timeout: found '-1s', allowed: a whole number with ms, s, m, h or d, as in 30s"
        ),
        ("drain: { timeout: 25h }", "3:19: drain.timeout: found '25h', allowed: 0s to 24h"),
        (
            "drain: { timeout: 99999999999999999h }",
            "3:19: drain.timeout: found '99999999999999999h', which is too large"
        ),
        (
            "drain: { timeout: {} }",
            "3:19: drain.timeout: found a mapping, allowed: a duration, as 30s"
        ),
        ("timeouts: { head: 0 }", "3:19: timeouts.head: found '0', allowed: 1ms to 24h"),
        (
            "limits: { headBytes: 64 }",
            "3:22: limits.headBytes: found '64', allowed: a whole number with B, KiB, MiB, GiB, kB, MB or GB, as in 64KiB"
        ),
        (
            "limits: { headBytes: 64K }",
            "3:22: limits.headBytes: found '64K', allowed: a whole number with B, KiB, MiB, GiB, kB, MB or GB, as in 64KiB (did you mean '64KiB'?)"
        ),
        (
            "limits: { headBytes: 64kib }",
            "3:22: limits.headBytes: found '64kib', allowed: a whole number with B, KiB, MiB, GiB, kB, MB or GB, as in 64KiB (did you mean '64KiB'?)"
        ),
        ("limits: { headBytes: 1B }", "3:22: limits.headBytes: found '1B', allowed: 1KiB to 1MiB"),
        (
            "limits: { headBytes: 99999999999999GiB }",
            "3:22: limits.headBytes: found '99999999999999GiB', which is too large"
        ),
        (
            "limits: { headBytes: [] }",
            "3:22: limits.headBytes: found a list, allowed: a size, as 64KiB"
        ),
        (
            "limits: { connections: 0 }",
            "3:24: limits.connections: found '0', allowed: a whole number, 1 or more"
        ),
        ("workers: four", "3:10: workers: found 'four', allowed: a whole number, 1 to 1024"),
        ("workers: +4", "3:10: workers: found '+4', allowed: a whole number, 1 to 1024"),
        ("workers: {}", "3:10: workers: found a mapping, allowed: a whole number, 1 to 1024"),
        (
            "drain: { code: 1006 }",
            "3:16: drain.code: found '1006', allowed: 1000, 1001, 1012, 1013 or 3000 to 4999"
        ),
        (
            "log: { format: jsn }",
            "3:16: log.format: found 'jsn', allowed: text, json (did you mean 'json'?)"
        ),
        ("log: { format: \"\" }", "3:16: log.format: found '', allowed: text, json"),
        (
            "log: { access: stdot }",
            "3:16: log.access: found 'stdot', allowed: stdout, stderr, journald, off or a path with a '/' (did you mean 'stdout'?)"
        ),
    ])
    func `scalars`(yaml: String, line: String) {
        expect(smallest + yaml, line)
    }

    @Test(arguments: [
        (
            "upstreams: [a]",
            "3:12: upstreams: found a list, allowed: a mapping of names to upstreams"
        ),
        (
            "upstreams: { \"a b\": {} }",
            "3:14: upstreams: found 'a b', allowed: a name of letters, digits, '-', '_' and '.'"
        ),
        (
            "upstreams: { [a]: {} }",
            "3:14: upstreams: found a list, allowed: a name of letters, digits, '-', '_' and '.'"
        ),
        ("upstreams: { a: {} }", "3:17: upstreams.a: 'endpoints' is missing"),
        (
            "upstreams: { a: { endpoints: [] } }",
            "3:30: upstreams.a.endpoints: found an empty list, allowed: one or more endpoints"
        ),
        (
            "upstreams: { a: { endpoints: \"ws://h:1\" } }",
            "3:30: upstreams.a.endpoints: found 'ws://h:1', allowed: a list of endpoints"
        ),
        (
            "upstreams: { a: { endpoints: [{}] } }",
            "3:31: upstreams.a.endpoints[0]: 'url' is missing"
        ),
        (
            "upstreams: { a: { endpoints: [\"h:1\"] } }",
            "3:31: upstreams.a.endpoints[0]: found 'h:1', allowed: ws://host:port, wss://host:port, unix:/path or srv:name (did you mean 'ws://h:1'?)"
        ),
    ])
    func `upstreams`(yaml: String, line: String) {
        expect(smallest + yaml, line)
    }

    @Test(arguments: [
        ("{ to: \"ws://h:1\" }", "2:10: routes[0]: 'path' is missing"),
        ("{ path: /a }", "2:10: routes[0]: 'to' is missing (or 'respond', or 'redirect')"),
        (
            "{ path: , to: \"ws://h:1\" }",
            "2:18: routes[0].path: found nothing, allowed: a path, as /chat or /chat/*"
        ),
        (
            "{ path: /a, to: [x] }",
            "2:26: routes[0].to: found a list, allowed: the name of an upstream, ws://host:port, wss://host:port, unix:/path or srv:name"
        ),
        (
            "{ path: /a, to: caht }",
            "2:26: routes[0].to: found 'caht', which is no upstream, allowed: chat, ws://host:port, wss://host:port, unix:/path or srv:name (did you mean 'chat'?)"
        ),
        (
            "{ path: /a, to: 9000 }",
            "2:26: routes[0].to: found '9000', which is no upstream, allowed: chat, ws://host:port, wss://host:port, unix:/path or srv:name (did you mean 'ws://127.0.0.1:9000'?)"
        ),
        (
            "{ path: /a, to: \"tls://h:1/\" }",
            "2:26: routes[0].to: found 'tls://h:1/', allowed: ws://host:port, wss://host:port, unix:/path or srv:name"
        ),
        (
            "{ path: /a, to: \"ws://h:1/socket\" }",
            "2:26: routes[0].to: found 'ws://h:1/socket', but an endpoint has no path; the route's rewrite says which path the upstream sees (did you mean 'ws://h:1'?)"
        ),
        (
            "{ path: /a, to: chat, host: [] }",
            "2:38: routes[0].host: found a list, allowed: a host, as a.example.com or *.example.com"
        ),
        (
            "{ path: /a, to: chat, rewrite: {} }",
            "2:41: routes[0].rewrite: found a mapping, allowed: a path, as /chat or /chat/*"
        ),
        (
            "{ path: /a, to: chat, idler: 10m }",
            "2:32: routes[0]: unknown key 'idler', allowed: path, host, listen, when, to, respond, redirect, rewrite, escapedSlash, origins, accept, access, timeouts, forwarded, via, request, answer, ping, idle, lifetime, onRemove, limits, faults, metrics (did you mean 'idle'?)"
        ),
        (
            "{ path: /a, to: chat, accept: { anyKeyLenght: true } }",
            "2:42: routes[0].accept: unknown key 'anyKeyLenght', allowed: missingConnection, anyKeyLength (did you mean 'anyKeyLength'?)"
        ),
        (
            "{ path: /a, to: chat, accept: { missingConnection: maybe } }",
            "2:61: routes[0].accept.missingConnection: found 'maybe', allowed: true or false"
        ),
        (
            "{ path: /a, respond: { status: 204 }, accept: { anyKeyLength: true } }",
            "2:56: routes[0].accept: has no meaning where a route is answered here: nothing goes to an upstream"
        ),
        (
            "{ path: /a, to: chat, ping: { every: 1ms } }",
            "2:47: routes[0].ping.every: found '1ms', allowed: 100ms to 24h"
        ),
        (
            "{ path: /a, to: chat, ping: { to: nobody } }",
            "2:44: routes[0].ping.to: found 'nobody', allowed: client, upstream, both"
        ),
        (
            "{ path: /a, respond: { status: 204 }, ping: { to: both } }",
            "2:54: routes[0].ping: has no meaning where a route is answered here: nothing goes to an upstream"
        ),
        (
            "{ path: /a, to: chat, limits: { messageBytes: 0 } }",
            "2:56: routes[0].limits.messageBytes: found '0', allowed: 1B or more"
        ),
        (
            "{ path: /a, to: chat, respond: {} }",
            "2:10: routes[0]: found 'to' and 'respond', allowed: one of them"
        ),
        (
            "{ path: /a, respond: { status: 100 } }",
            "2:41: routes[0].respond.status: found '100', allowed: a whole number, 200 to 599"
        ),
        (
            "{ path: /a, respond: {}, rewrite: /b }",
            "2:44: routes[0].rewrite: has no meaning where a route is answered here: nothing goes to an upstream"
        ),
        (
            "{ path: /a, redirect: { to: \"ftp://h/\" } }",
            "2:38: routes[0].redirect.to: found 'ftp://h/', allowed: a path or URL, as /new/* or https://example.com/new/*"
        ),
        (
            "{ path: /a, redirect: { to: /b, status: 305 } }",
            "2:50: routes[0].redirect.status: found '305', allowed: 301, 302, 303, 307 or 308"
        ),
        (
            "{ path: /a, to: chat, request: { set: { Host: a } } }",
            "2:50: routes[0].request.set: found 'Host', which Sluice itself writes; 'host' beside 'set' says which"
        ),
        (
            "{ path: /a, to: chat, request: { remove: [\"A B\"] } }",
            "2:52: routes[0].request.remove[0]: found 'A B', allowed: a field name, as X-Frame-Options"
        ),
        (
            "{ path: /a, to: chat, answer: { set: { A: 1, a: 2 } } }",
            "2:55: routes[0].answer.set: found 'a' a second time"
        ),
        (
            "{ path: /a, to: chat, request: { host: \"a b\" } }",
            "2:49: routes[0].request.host: found 'a b', allowed: keep, upstream or a host, as app.internal:3000"
        ),
        (
            "{ path: /a, to: chat, answer: { set: { A: \"b\\r\\nC: d\" } } }",
            "2:52: routes[0].answer.set.A: found a control character, allowed: a field's value in one line"
        ),
        (
            "{ path: /a, to: chat, request: { set: { A: b $tlsVerson } } }",
            "2:53: routes[0].request.set.A: found '$tlsVerson', allowed: $tlsVersion, $tlsCipher, $tlsGroup, $alpn, or $$ for a dollar sign; words for the request are in braces, as {client} (did you mean '$tlsVersion'?)"
        ),
        (
            "{ path: /a, to: chat, request: { add: { A: $HOME } } }",
            "2:53: routes[0].request.add.A: found '$HOME', allowed: $tlsVersion, $tlsCipher, $tlsGroup, $alpn, or $$ for a dollar sign; words for the request are in braces, as {client}"
        ),
        (
            "{ path: /a, to: chat, request: { set: { X-Real-IP: $remote_addr } } }",
            "2:61: routes[0].request.set.X-Real-IP: found '$remote_addr', allowed: $tlsVersion, $tlsCipher, $tlsGroup, $alpn, or $$ for a dollar sign; words for the request are in braces, as {client} (did you mean '{client}'?)"
        ),
        (
            "{ path: /a, to: chat, answer: { set: { A: $tlsVersion } } }",
            "2:52: routes[0].answer.set.A: found '$tlsVersion', allowed: no placeholders in answers; write $$ for a dollar sign; words for the request are in braces, as {client}"
        ),
        (
            "{ path: /a, to: chat, origins: smae }",
            "2:41: routes[0].origins: found 'smae', allowed: any, same or origins, as https://example.com (did you mean 'same'?)"
        ),
        (
            "{ path: /a, to: chat, origins: \"*\" }",
            "2:41: routes[0].origins: found '*', allowed: any, same or origins, as https://example.com (did you mean 'any'?)"
        ),
        (
            "{ path: /a, to: chat, origins: {} }",
            "2:41: routes[0].origins: found a mapping, allowed: any, same or origins, as https://example.com"
        ),
        (
            "{ path: /a, to: chat, origins: [any, same] }",
            "2:42: routes[0].origins[0]: found 'any' among others, which then say nothing"
        ),
        (
            "{ path: /a, to: chat, origins: [a.example] }",
            "2:42: routes[0].origins[0]: found 'a.example', allowed: any, same or origins, as https://example.com (did you mean 'https://a.example'?)"
        ),
        (
            "{ path: /a, to: chat, origins: [\"https://a.example/\"] }",
            "2:42: routes[0].origins[0]: found 'https://a.example/', allowed: any, same or origins, as https://example.com (did you mean 'https://a.example'?)"
        ),
        (
            "{ path: /a, to: chat, origins: [\"https://a.*.example\"] }",
            "2:42: routes[0].origins[0]: found 'https://a.*.example', allowed: any, same or origins, as https://example.com"
        ),
        (
            "{ path: /a, to: chat, origins: [\"https://a.example/b?c\"] }",
            "2:42: routes[0].origins[0]: found 'https://a.example/b?c', allowed: any, same or origins, as https://example.com (did you mean 'https://a.example'?)"
        ),
        (
            "{ path: /a, to: chat, origins: [\"https://\"] }",
            "2:42: routes[0].origins[0]: found 'https://', allowed: any, same or origins, as https://example.com"
        ),
        (
            "{ path: /a, to: chat, origins: [\"1a_b://c\"] }",
            "2:42: routes[0].origins[0]: found '1a_b://c', allowed: any, same or origins, as https://example.com"
        ),
        (
            "{ path: /a, to: chat, escapedSlash: allow }",
            "2:46: routes[0].escapedSlash: found 'allow', allowed: keep, reject"
        ),
    ])
    func `routes`(route: String, line: String) {
        let yaml = """
            listen: [{ address: ":1" }]
            routes: [\(route)]
            upstreams: { chat: { endpoints: ["ws://h:1"] } }
            """
        expect(yaml, line)
    }

    @Test(arguments: [
        (
            "{ tls: {} }",
            "2:10: listen[0]: 'address' is missing\n2:17: listen[0].tls: 'certificates' is missing"
        ),
        (
            "{ address: 8443 }",
            "2:21: listen[0].address: found '8443' without a port, allowed: 127.0.0.1:8443, [::]:8443, :8443 or unix:/path (did you mean '127.0.0.1:8443'?)"
        ),
        (
            "{ address: \"[::1]\" }",
            "2:21: listen[0].address: found '[::1]' without a port, allowed: 127.0.0.1:8443, [::]:8443, :8443 or unix:/path (did you mean '[::1]:8443'?)"
        ),
        (
            "{ address: \"localhost:1\" }",
            "2:21: listen[0].address: found 'localhost:1', allowed: 127.0.0.1:8443, [::]:8443, :8443 or unix:/path (did you mean '127.0.0.1:1'?)"
        ),
        (
            "{ address: \"*:1\" }",
            "2:21: listen[0].address: found '*:1', allowed: 127.0.0.1:8443, [::]:8443, :8443 or unix:/path (did you mean ':1'?)"
        ),
        (
            "{ address: \"::1:1\" }",
            "2:21: listen[0].address: found '::1:1', allowed: 127.0.0.1:8443, [::]:8443, :8443 or unix:/path (did you mean '[::1]:1'?)"
        ),
        (
            "{ address: \"fe80::1:2:3\" }",
            "2:21: listen[0].address: found 'fe80::1:2:3', allowed: 127.0.0.1:8443, [::]:8443, :8443 or unix:/path (did you mean '[fe80::1:2]:3'?)"
        ),
        (
            "{ address: \":65536\" }",
            "2:21: listen[0].address: found the port '65536' in ':65536', allowed: 0 to 65535"
        ),
        (
            "{ address: \"1.2.3.256:1\" }",
            "2:21: listen[0].address: found '1.2.3.256:1', allowed: 127.0.0.1:8443, [::]:8443, :8443 or unix:/path"
        ),
        (
            "{ address: \"unix:s\" }",
            "2:21: listen[0].address: found 'unix:s', allowed: unix: with an absolute path, as in unix:/run/app.sock"
        ),
        (
            "{ address: \":1\" }, { address: \":1\" }",
            "2:40: listen[1].address: found ':1', which sluice.yaml:2:21 listens on already"
        ),
        (
            "{ address: \":1\" }, { address: \"[::]:1\" }",
            "2:40: listen[1].address: found '[::]:1', which sluice.yaml:2:21 listens on already"
        ),
        (
            "{ address: \":1\", redirect: https }",
            "2:37: listen[0].redirect: found 'https', but no listener has 'tls' to send requests to"
        ),
        (
            "{ address: \":1\", redirect: http }",
            "2:37: listen[0].redirect: found 'http', allowed: https"
        ),
        (
            "{ address: \":1\", redirect: https, tls: { certificates: [{ chain: a, key: b }] } }",
            "2:37: listen[0].redirect: found beside 'tls', allowed: on a listener without it"
        ),
        (
            "{ address: \":1\", tls: { certificates: [{ chain: a, key: b }], hsts: often } }",
            "2:78: listen[0].tls.hsts: found 'often', allowed: a whole number with ms, s, m, h or d, as in 30s"
        ),
        (
            "{ address: \":1\", tls: { certificates: [{ chain: a, key: b }], hsts: { maxAge: 1d, preload: yes } } }",
            "2:101: listen[0].tls.hsts.preload: found 'yes', allowed: true or false"
        ),
        (
            "{ address: \":1\", tls: true }",
            "2:32: listen[0].tls: found 'true', allowed: a mapping with certificates, minimumVersion, protocols, cipherSuites, ciphers, groups, hsts, clientCertificates"
        ),
        (
            "{ address: \":1\", tls: { certificates: [] } }",
            "2:48: listen[0].tls.certificates: found an empty list, allowed: one or more certificates"
        ),
        (
            "{ address: \":1\", tls: { certificates: [{ chain: a.pem, kye: b.pem }] } }",
            "2:65: listen[0].tls.certificates[0]: unknown key 'kye', allowed: chain, key (did you mean 'key'?)"
        ),
        (
            "{ address: \":1\", tls: { certificates: [{ chain: a, key: b }], minimumVersion: 1.1 } }",
            "2:88: listen[0].tls.minimumVersion: found '1.1', allowed: 1.2, 1.3 (did you mean '1.2'?)"
        ),
        (
            "{ address: \":1\", tls: { certificates: [{ chain: a, key: b }], groups: X25519 } }",
            "2:80: listen[0].tls.groups: found 'X25519', allowed: a list of names of groups, as X25519 or P-256"
        ),
        (
            "{ address: \":1\", tls: { certificates: [{ chain: a, key: b }], groups: [] } }",
            "2:80: listen[0].tls.groups: found an empty list, allowed: one or more names of groups, as X25519 or P-256"
        ),
        (
            "{ address: \":1\", tls: { certificates: [{ chain: a, key: b }], groups: [X25519, P-256, X25519] } }",
            "2:96: listen[0].tls.groups[2]: found 'X25519', which is at sluice.yaml:2:81 already"
        ),
        (
            "{ address: \":1\", tls: { certificates: [{ chain: a, key: b }], protocols: [h2] } }",
            "2:83: listen[0].tls.protocols: found no 'http/1.1', which some clients speak alone: add it behind h2"
        ),
        (
            "{ address: \":1\", tls: { certificates: [{ chain: a, key: b }], protocols: [h3, http/1.1] } }",
            "2:84: listen[0].tls.protocols[0]: found 'h3', allowed: h2, http/1.1 (did you mean 'h2'?)"
        ),
        (
            "{ address: \":1\", tls: { certificates: [{ chain: a, key: b }], protocols: [h2, http/1.1, h2] } }",
            "2:98: listen[0].tls.protocols[2]: found 'h2' again, allowed: each protocol once"
        ),
        (
            "{ address: \":1\", http2: { maxStreams: 5 } }",
            "2:34: listen[0].http2: found without 'tls', allowed: on a listener with it"
        ),
        (
            "{ address: \":1\", tls: { certificates: [{ chain: a, key: b }] }, http2: { maxStreams: 0, websockets: no, windowBytes: 1KiB, pings: 1s } }",
            """
            2:95: listen[0].http2.maxStreams: found '0', allowed: a whole number, 1 to 10000
            2:110: listen[0].http2.websockets: found 'no', allowed: true or false
            2:127: listen[0].http2.windowBytes: found '1KiB', allowed: 64KiB to 16MiB
            2:133: listen[0].http2: unknown key 'pings', allowed: websockets, maxStreams, windowBytes, resetsPerSecond, pingAfter, pingTimeout
            """
        ),
        ("", "2:9: listen: found an empty list, allowed: one or more listeners"),
    ])
    func `listeners`(listeners: String, lines: String) {
        expect("routes: [{ path: /a, to: \"ws://h:1\" }]\nlisten: [\(listeners)]", lines)
    }

    private func expect(
        _ yaml: String, _ lines: String, sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let expected = lines.split(separator: "\n").map { "sluice.yaml:\($0)" }
        let found = problems(of: yaml)
        #expect(found == expected, sourceLocation: sourceLocation)
    }
}
