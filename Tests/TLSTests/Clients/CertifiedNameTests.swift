// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import TLS

/// Names of clients' certificates, as people write them.
struct CertifiedNameTests {
    @Test func `the form of a name says which kind is meant`() {
        #expect(CertifiedName(written: "Box.Example") == .dns("box.example"))
        #expect(CertifiedName(written: "Ops@Example.com") == .mail("Ops@example.com"))
        #expect(CertifiedName(written: "spiffe://Lab/1") == .uri("spiffe://Lab/1"))
        #expect(CertifiedName(written: "urn:uuid:1") == .uri("urn:uuid:1"))
        #expect(CertifiedName(written: "192.0.2.1") == .address([192, 0, 2, 1]))
        #expect(
            CertifiedName(written: "::1") == .address([UInt8](repeating: 0, count: 15) + [1]))
        #expect(CertifiedName(written: "192.0.2.1").text == "192.0.2.1")
    }

    @Test func `a star stands for one label`() {
        let pattern = CertifiedName(written: "*.example.com")
        #expect(pattern.covers(.dns("a.example.com")))
        #expect(pattern.covers(.dns("*.example.com")))
        for name in ["example.com", "a.b.example.com", ".example.com", "aexample.com"] {
            #expect(!pattern.covers(.dns(name)), "\(name)")
        }
        #expect(!pattern.covers(.mail("a.example.com")))
        #expect(!CertifiedName(written: "a.example.com").covers(.dns("*.example.com")))
    }
}
