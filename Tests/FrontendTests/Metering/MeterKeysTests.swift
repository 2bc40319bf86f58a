// SPDX-License-Identifier: Apache-2.0
import Ledger
import Metrics
import TLS
import Testing
import Wire

@testable import Frontend

@Suite struct MeterKeysTests {
    @Test func `codes that are not registered share a key by their range`() {
        func key(_ code: UInt16) -> UInt64 { RelayEnd(code: code, .client, .close).key }
        let labels: [(UInt16, String)] = [
            (0, "none"), (1000, "1000"), (1005, "1005"), (1015, "1015"), (1016, "other"),
            (2999, "other"), (3000, "3xxx"), (3999, "3xxx"), (4000, "4xxx"), (4999, "4xxx"),
            (5000, "other"), (65_535, "other"),
        ]
        for (code, label) in labels {
            #expect(RelayEnd.labels(key(code)) == [label, "client", "close"])
        }
        #expect(Set((0...UInt16.max).map(key)).count == 20)
    }

    @Test func `a relay that was cut has no reason but that`() {
        let key = RelayEnd(code: 1001, .sluice, .none).key
        #expect(RelayEnd.labels(key) == ["1001", "sluice", "cut"])
    }

    @Test func `methods are known ones or other`() {
        for name in ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE"] {
            let key = AnsweredRequest(Method(named: name), status: 204, isHTTP2: true).key
            #expect(AnsweredRequest.labels(key) == [name, "204", "h2"])
        }
        let key = AnsweredRequest(Method(named: "BREW"), status: 0, isHTTP2: false).key
        #expect(AnsweredRequest.labels(key) == ["other", "none", "h1"])
    }

    @Test func `every error of a refusal has its own name`() {
        for error in ProxyError.allCases {
            let key = RefusedUpgrade(status: 502, error).key
            #expect(RefusedUpgrade.labels(key) == ["502", error.rawValue])
        }
        #expect(RefusedUpgrade.labels(RefusedUpgrade(status: 0, nil).key) == ["none", ""])
    }

    @Test func `a handshake is told with the names of its parts`() {
        let facts = TLSFacts(
            version: .tls12, cipher: 0xC02B, group: 0x001D, serverName: "example.com",
            applicationProtocol: nil, isResumed: true)
        #expect(
            CompletedHandshake.labels(CompletedHandshake(facts).key) == [
                "TLSv1.2", "X25519", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "true",
            ])
    }

    @Test func `what came beyond the bound of series has no label of a peer's`() {
        let other = KeyedCounter.other
        #expect(AnsweredRequest.labels(other) == ["other", "other", "other"])
        #expect(RefusedUpgrade.labels(other) == ["other", "other"])
        #expect(RelayEnd.labels(other) == ["other", "other", "other"])
        #expect(CompletedHandshake.labels(other) == ["other", "other", "other", "other"])
        #expect(MetLimit.label(other) == "other")
        #expect(HandshakeTrouble.label(other) == "other")
    }

    @Test func `another protocol is told with its listener`() {
        let (listener, kind) = OtherProtocol.labels(OtherProtocol.tlsOnPlain.key(listener: 70_000))
        #expect(listener == 70_000)
        #expect(kind == "tls_on_plain")
    }
}
