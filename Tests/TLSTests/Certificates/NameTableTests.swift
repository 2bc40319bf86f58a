// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import Testing

@testable import TLS

/// Which chain answers to which name.
struct NameTableTests {
    let identities: Identities
    let store: CertificateStore

    init() throws {
        identities = try Identities.shared()
        store = try identities.store([
            identities.local, identities.chat, identities.wild, identities.deep,
        ])
    }

    @Test(arguments: [
        ("localhost", "localhost"), ("chat.example", "chat.example"),
        ("CHAT.Example", "chat.example"), ("a.wild.example", "*.wild.example"),
        ("A.WILD.example", "*.wild.example"), ("deep.wild.example", "deep.wild.example"),
        // A wildcard stands for one label and no more, and not for none.
        ("a.b.wild.example", "localhost"), ("wild.example", "localhost"),
        ("other.example", "localhost"), ("example", "localhost"),
    ])
    func `a name is answered by its chain`(asked: String, answered: String) throws {
        for version in [TLSVersion.tls12, .tls13] {
            let pair = MemoryPair(store, client: try client(version), serverName: asked)
            #expect(pair.handshake() == (.done, .done))
            #expect(names(of: pair.client).first == answered)
            #expect(pair.server.facts?.serverName == asked)
        }
    }

    @Test func `no name is answered by the first chain`() throws {
        let pair = MemoryPair(store, client: try client())
        #expect(pair.handshake() == (.done, .done))
        #expect(names(of: pair.client).first == "localhost")
        #expect(store.defaultNames == ["localhost", "127.0.0.1"])
    }

    @Test func `a trailing dot and capital letters make no difference`() throws {
        let table = NameTable()
        let exact = try client()
        let wildcard = try client()
        table.contexts = ["chat.example": exact, "*.wild.example": wildcard]
        for name in ["chat.example", "chat.example.", "Chat.EXAMPLE", "CHAT.EXAMPLE."] {
            #expect(table.context(for: name) === exact, "\(name)")
        }
        for name in ["a.wild.example", "a.wild.example.", "A.Wild.Example"] {
            #expect(table.context(for: name) === wildcard, "\(name)")
        }
        for name in ["", ".", "..", "wild.example", ".example", "a.b.wild.example", "example"] {
            #expect(table.context(for: name) == nil, "\(name)")
        }
    }

    private func names(of client: MemoryEnd) -> [String] {
        guard let pointer = client.pointer, let certificate = SSL_get1_peer_certificate(pointer)
        else { return [] }
        defer { X509_free(certificate) }
        return ServerIdentity.names(of: certificate)
    }
}
