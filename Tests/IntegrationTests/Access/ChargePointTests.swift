// SPDX-License-Identifier: Apache-2.0
//
// Goal: charge points of OCPP come by the security profiles 1 (password), 2 (password over TLS) and 3 (certificate), and others
// are refused before anything of them reaches the central system.
// Method: charge point and central system of the package `ocpp`, which checks every message by its schema.

import TestKit
import Testing

@Suite struct ChargePointTests {
    @Test func `charge points come by the profiles 1, 2 and 3, and others do not`() throws {
        let central = try PythonPeer.start("load_ocpp.py")
        let bound = try central.waitForLine(containing: "port ", by: .after(.seconds(120)))[0]
        let port = try #require(bound.split(separator: " ").last)
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        try run(["htpasswd", "-cbB", "\(folder)/stations", "CP-1", "secret"])
        let clients = try ClientAuthority()
        let station = try clients.issue("/O=Example/CN=CP-1")
        let neighbour = try clients.issue("/O=Example/CN=CP-2")
        let stranger = try ClientAuthority("others").issue("/O=Example/CN=CP-1")
        let (certificate, authority) = (
            try TestCertificates.shared().local.setting, try TestCertificates.shared().authority
        )
        let to = "to: \"http://127.0.0.1:\(port)\""
        let proxy = try ProxyFixture(
            configuration: """
                listen:
                  - { address: "127.0.0.1:0", name: plain }
                  - address: "127.0.0.1:0"
                    name: secure
                    tls: { certificates: [\(certificate)], clientCertificates: { ca: \(clients.certificate) } }
                routes:
                  - { path: "/password/{station}", \(to), access: { basic: { file: \(folder)/stations } } }
                  - path: "/certificate/{station}"
                    \(to)
                    listen: [secure]
                    access: { clientCertificate: { subjects: ["CN=CP-1,O=Example"] } }

                """, listenerCount: 2)
        func said(
            _ url: String, _ password: String = "-", _ certificate: TestIdentity? = nil
        ) throws -> [String] {
            let files = certificate.map { "\($0.chain):\($0.key)" } ?? "-"
            return try PythonPeer.run(
                "ocpp_station.py", [url, authority, "CP-1", password, files])
        }
        let plain = proxy.url("/password", listener: 0)
        let secure = proxy.url("/password", listener: 1)
        #expect(plain.hasPrefix("ws:") && secure.hasPrefix("wss:"))
        let good = ["Accepted ocpp1.6"]
        // Profile 1, then profile 2.
        for url in [plain, secure] {
            #expect(try said(url, "secret") == good, "\(url)")
            #expect(try said(url, "wrong") == ["401"], "\(url)")
            #expect(try said(url) == ["401"], "\(url)")
        }
        // A certificate is no password.
        #expect(try said(secure, "-", station) == ["401"])
        // Profile 3.
        let certified = proxy.url("/certificate", listener: 1)
        #expect(try said(certified, "-", station) == good)
        #expect(try said(certified, "-", neighbour) == ["403"])
        #expect(try said(certified) == ["403"])
        #expect(try said(certified, "secret") == ["403"])
        #expect(try said(proxy.url("/certificate", listener: 0), "secret") == ["404"])
        // One of another authority does not even come through the handshake.
        let child = try PythonPeer.start(
            "ocpp_station.py",
            [certified, authority, "CP-1", "-"] + ["\(stranger.chain):\(stranger.key)"])
        #expect(try child.waitForExit() != 0)
        #expect(child.output.isEmpty)
        let lines = try proxy.process.waitForLine(containing: "reason=", count: 3)
        #expect(lines.count { $0.contains(" user=CP-1 ") } == 2, "\(lines)")
        #expect(lines.count { $0.contains("CN=CP-1,O=Example") } == 1, "\(lines)")
    }
}
