// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Config

/// Who may use a route, as files say it.
struct AccessKeysTests {
    private static func file(_ access: String) -> String {
        """
        listen: [{ address: ":1" }]
        routes: [{ path: /a, to: "ws://h:1", access: \(access) }]

        """
    }

    @Test func `blocks are read with their places, on routes that answer by themselves too`() throws
    {
        let configuration = try Configuration.load(
            yaml: """
                listen: [{ address: ":1" }]
                routes:
                  - { path: /a, to: "ws://h:1", access: { addresses: { allow: [10.0.0.0/8, unix], deny: ["2001:db8::/32"] } } }
                  - { path: /b, respond: {}, access: { addresses: { deny: [192.0.2.1] } } }
                  - { path: /c, redirect: { to: /b }, access: { addresses: { allow: ["::1"] } } }
                  - { path: /d, to: "ws://h:1" }

                """, file: "sluice.yaml")
        let rules = configuration.routes.map { $0.access?.addresses }
        #expect(rules[0]?.allow.map(\.block) == ["10.0.0.0/8", "unix"])
        #expect(rules[0]?.deny.map(\.block) == ["2001:db8::/32"])
        #expect(rules[0]?.deny.first?.place.line == 3)
        #expect(rules[1]?.allow == [] && rules[1]?.deny.map(\.block) == ["192.0.2.1"])
        #expect(rules[2]?.allow.map(\.block) == ["::1"])
        #expect(configuration.routes[3].access == nil)
    }

    @Test(arguments: [
        (
            "{}",
            "2:46: routes[0].access: found no rule, allowed: one or more of addresses, basic, jwt, clientCertificate, forward"
        ),
        (
            "yes",
            "2:46: routes[0].access: found 'yes', allowed: a mapping with addresses, basic, jwt, clientCertificate, forward"
        ),
        (
            "{ adresses: {} }",
            "2:48: routes[0].access: unknown key 'adresses', allowed: addresses, basic, jwt, clientCertificate, forward (did you mean 'addresses'?)"
        ),
        (
            "{ addresses: {} }",
            "2:59: routes[0].access.addresses: found no rule, allowed: one or more of allow, deny"
        ),
        (
            "{ addresses: { allow: [] } }",
            "2:68: routes[0].access.addresses.allow: found an empty list, allowed: one or more addresses, as 10.0.0.0/8"
        ),
        (
            "{ addresses: { deny: [10.0.0.0/33] } }",
            "2:68: routes[0].access.addresses.deny[0]: found '/33' in '10.0.0.0/33', allowed: /0 to /32"
        ),
        (
            "{ addresses: { allow: [localhost] } }",
            "2:69: routes[0].access.addresses.allow[0]: found 'localhost', allowed: an address or a block of them, as 10.0.0.0/8, 2001:db8::/32 or ::1, or unix"
        ),
        ("{ basic: {} }", "2:55: routes[0].access.basic: 'file' is missing"),
        (
            "{ basic: { file: users, realm: \"a\\tb\\n\" } }",
            "2:77: routes[0].access.basic.realm: found a control character, allowed: a text in one line"
        ),
        ("{ forward: {} }", "2:57: routes[0].access.forward: 'to' is missing"),
        (
            "{ forward: { to: \"http://h:1\", path: verify } }",
            "2:83: routes[0].access.forward.path: found 'verify', allowed: a path, as /verify"
        ),
        (
            "{ forward: { to: \"http://h:1/verify?x=1\" } }",
            "2:63: routes[0].access.forward.to: found 'http://h:1/verify?x=1', but an endpoint has no path; 'path' beside 'to' says what it is asked for: path: /verify?x=1 (did you mean 'http://h:1'?)"
        ),
        (
            "{ forward: { to: \"http://h:1\", fields: [Connection] } }",
            "2:86: routes[0].access.forward.fields[0]: found 'Connection', which Sluice itself writes"
        ),
        (
            "{ forward: { to: \"http://h:1\", fields: [X_Forwarded.For] } }",
            "2:86: routes[0].access.forward.fields[0]: found 'X_Forwarded.For', which Sluice itself writes"
        ),
        (
            "{ forward: { to: \"http://h:1\", fields: [X-User, x_user] } }",
            "2:94: routes[0].access.forward.fields[1]: found 'x_user' a second time"
        ),
        (
            "{ clientCertificate: yes }",
            "2:67: routes[0].access.clientCertificate: found 'yes', allowed: a mapping with names, subjects, fingerprints, tell"
        ),
        (
            "{ clientCertificate: { names: [] } }",
            "2:76: routes[0].access.clientCertificate.names: found an empty list, allowed: one or more texts, each a name without blanks"
        ),
        (
            "{ clientCertificate: { subjects: [\"CN = alice, O = Example\"] } }",
            "2:80: routes[0].access.clientCertificate.subjects[0]: found 'CN = alice, O = Example', allowed: a subject, as CN=alice,O=Example"
        ),
        (
            "{ clientCertificate: { fingerprints: [ab12] } }",
            "2:84: routes[0].access.clientCertificate.fingerprints[0]: found 'ab12', allowed: the SHA-256 of a certificate, 64 hexadecimal digits"
        ),
        (
            "{ clientCertificate: { tell: all } }",
            "2:75: routes[0].access.clientCertificate.tell: found 'all', allowed: nothing, certificate, chain"
        ),
    ])
    func `a mistake is told with its place`(access: String, line: String) {
        #expect(problems(of: Self.file(access)) == ["sluice.yaml:\(line)"])
    }
}
