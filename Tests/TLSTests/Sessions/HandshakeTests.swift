// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import Testing

@testable import TLS

/// Both ends of a handshake in memory: what they agree on, and how little it takes to go wrong.
struct HandshakeTests {
    let identities: Identities

    init() throws { identities = try Identities.shared() }

    @Test(arguments: [TLSVersion.tls12, .tls13])
    func `both ends agree, and bytes pass either way`(version: TLSVersion) throws {
        let context = try TLSContext.client(
            trusting: identities.authority, minimumVersion: version, maximumVersion: version)
        let pair = MemoryPair(
            try identities.store([identities.local]), client: context, serverName: "localhost")
        #expect(pair.handshake() == (.done, .done))
        let facts = try #require(pair.server.facts)
        #expect(facts.version == version)
        #expect(facts.serverName == "localhost")
        #expect(facts.applicationProtocol == "http/1.1")
        #expect(!facts.isResumed)
        #expect(facts.cipher == pair.client.facts?.cipher)
        #expect(facts.cipherName.hasPrefix("TLS_"))
        #expect(pair.server.read(pair.client.seal(Array("up".utf8))).plain == Array("up".utf8))
        #expect(pair.client.read(pair.server.seal(Array("down".utf8))).plain == Array("down".utf8))
    }

    @Test(
        arguments: KeyExchangeGroups.defaults.map { (TLSVersion.tls13, $0) }
            + ["X25519", "P-256", "P-384"].map { (.tls12, $0) })
    func `both ends tell the group over which keys were exchanged`(
        version: TLSVersion, group: String
    ) throws {
        let options = TLSServerOptions(minimumVersion: .tls12, groups: [group])
        let pair = MemoryPair(
            try identities.store([identities.local], options: options), client: try client(version))
        #expect(pair.handshake() == (.done, .done))
        #expect(pair.server.facts?.groupName == group)
        #expect(pair.client.facts?.groupName == group)
    }

    @Test(arguments: [TLSVersion.tls12, .tls13])
    func `a flight may be split at any byte`(version: TLSVersion) throws {
        let store = try identities.store([identities.local])
        let context = try client(version)
        var split = 1
        var isLongest = false
        while !isLongest {
            isLongest = true
            let pair = MemoryPair(store, client: context)
            let ends = pair.handshake { flight in
                guard split < flight.count else { return [flight] }
                isLongest = false
                return [Array(flight[..<split]), Array(flight[split...])]
            }
            #expect(ends == (.done, .done), "split at \(split)")
            split += 1
        }
        #expect(split > 300, "the longest flight has a certificate in it")
    }

    @Test(arguments: [TLSVersion.tls12, .tls13])
    func `flights may come byte by byte`(version: TLSVersion) throws {
        let pair = MemoryPair(
            try identities.store([identities.local]), client: try client(version))
        let ends = pair.handshake { flight in flight.map { [$0] } }
        #expect(ends == (.done, .done))
        #expect(pair.server.read(pair.client.seal([1, 2, 3])).plain == [1, 2, 3])
    }

    @Test func `a client that believes no such authority fails, and says why`() throws {
        let context = try TLSContext.client(trusting: identities.localRSA.chain)
        let pair = MemoryPair(
            try identities.store([identities.local]), client: context, serverName: "localhost")
        #expect(pair.handshake().client == .failed)
        #expect(pair.client.reasons.last == "certificate verify failed")
    }

    @Test func `a client that wants another name fails`() throws {
        let context = try TLSContext.client(trusting: identities.authority)
        let pair = MemoryPair(
            try identities.store([identities.local]), client: context, serverName: "other.example")
        #expect(pair.handshake().client == .failed)
    }

    @Test func `an address is verified though it is not sent as a name`() throws {
        let context = try TLSContext.client(trusting: identities.authority)
        let store = try identities.store([identities.local])
        let right = MemoryPair(store, client: context, serverName: "127.0.0.1")
        #expect(right.handshake() == (.done, .done))
        #expect(right.server.facts?.serverName == nil)
        let wrong = MemoryPair(store, client: context, serverName: "127.0.0.2")
        #expect(wrong.handshake().client == .failed)
    }

    @Test func `what is no TLS fails with an alert`() throws {
        let server = MemoryEnd(accepting: try identities.store([identities.local]).initial)
        #expect(server.handshake(Array("GET / HTTP/1.1\r\nHost: a\r\n\r\n".utf8)) == .failed)
        #expect(server.reasons.last == "http request")
        let other = MemoryEnd(accepting: try identities.store([identities.local]).initial)
        #expect(other.handshake([0x16, 0x03, 0x01, 0x00, 0x04, 0x01, 0xFF, 0xFF, 0xFF]) == .failed)
        #expect(other.output().first == 0x15)
    }

    @Test func `a version below the least is refused with protocol_version`() throws {
        let store = try identities.store(
            [identities.local], options: TLSServerOptions(minimumVersion: .tls13))
        let server = MemoryEnd(accepting: store.initial)
        let old = MemoryEnd(connecting: try client(.tls12))
        #expect(old.handshake() == .wantsInput)
        #expect(server.handshake(old.output()) == .failed)
        #expect(Array(server.output().suffix(2)) == [2, 70])
    }

    @Test(arguments: [TLSVersion.tls12, .tls13])
    func `chains of either kind of key stand side by side`(version: TLSVersion) throws {
        let store = try identities.store([identities.localRSA, identities.local])
        for (algorithms, kind) in [
            ("ECDSA+SHA256", EVP_PKEY_EC), ("RSA-PSS+SHA256:RSA+SHA256", EVP_PKEY_RSA),
        ] {
            let context = try client(version)
            // SSL_CTX_set1_sigalgs_list, which is a macro.
            #expect(
                algorithms.withCString {
                    SSL_CTX_ctrl(context.pointer, 98, 0, UnsafeMutableRawPointer(mutating: $0))
                } == 1)
            let pair = MemoryPair(store, client: context, serverName: "localhost")
            #expect(pair.handshake() == (.done, .done), "\(algorithms)")
            let certificate = pair.client.pointer.flatMap { SSL_get1_peer_certificate($0) }
            defer { X509_free(certificate) }
            #expect(EVP_PKEY_get_base_id(X509_get0_pubkey(certificate)) == kind, "\(algorithms)")
        }
    }

    @Test(arguments: [
        (["http/1.1"], "http/1.1"), (["h2", "http/1.1"], "http/1.1"),
        (["http/1.1", "h2"], "http/1.1"), ([], nil),
    ])
    func `http/1.1 is agreed on wherever it is offered`(
        offered: [String], agreed: String?
    ) throws {
        let pair = MemoryPair(
            try identities.store([identities.local]), client: try client(protocols: offered))
        #expect(pair.handshake() == (.done, .done))
        #expect(pair.server.facts?.applicationProtocol == agreed)
        #expect(pair.client.facts?.applicationProtocol == agreed)
    }

    /// Browsers end a connection of HTTP/2 with a cipher of RFC 9113 appendix A.
    @Test(arguments: [
        (TLSVersion.tls13, "ECDHE-ECDSA-AES128-SHA", "h2"),
        (.tls12, "ECDHE-ECDSA-AES128-GCM-SHA256", "h2"),
        (.tls12, "ECDHE-ECDSA-CHACHA20-POLY1305", "h2"),
        (.tls12, "ECDHE-ECDSA-AES128-SHA", "http/1.1"),
        (.tls12, "ECDHE-ECDSA-AES128-SHA256", "http/1.1"),
    ])
    func `h2 is agreed on only with a cipher that is fit for it`(
        version: TLSVersion, ciphers: String, agreed: String
    ) throws {
        let options = TLSServerOptions(
            minimumVersion: .tls12, cipherList: ciphers, speaksHTTP2: true)
        for offered in [["h2", "http/1.1"], ["http/1.1", "h2"]] {
            let pair = MemoryPair(
                try identities.store([identities.local], options: options),
                client: try client(version, protocols: offered))
            #expect(pair.handshake() == (.done, .done))
            #expect(pair.server.facts?.applicationProtocol == agreed)
        }
    }

    @Test(arguments: [["h2"], ["h2", "http/1.0"], ["http/1.10"], ["http/1."]])
    func `a client that offers only other protocols gets an alert`(offered: [String]) throws {
        let store = try identities.store([identities.local])
        let stranger = MemoryEnd(connecting: try client(.tls12, protocols: offered))
        let server = MemoryEnd(accepting: store.initial)
        #expect(stranger.handshake() == .wantsInput)
        #expect(server.handshake(stranger.output()) == .failed)
        // no_application_protocol (RFC 7301 §3.2)
        #expect(Array(server.output().suffix(2)) == [2, 120])
    }

    /// AES-128 where a client takes it, unless that says by its order that its processor has no AES.
    @Test(arguments: [
        (nil, "TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256", UInt16(0x1301)),
        (nil, "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256", 0x1301),
        (nil, "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256", 0x1303),
        (nil, "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256", 0x1302),
        (nil, "TLS_CHACHA20_POLY1305_SHA256", 0x1303),
        (
            "TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256",
            "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384", 0x1302
        ),
        (
            "TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256",
            "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256", 0x1301
        ),
    ])
    func `the suite is the first of the server's that a client offers`(
        configured: String?, offered: String, agreed: UInt16
    ) throws {
        let options = TLSServerOptions(minimumVersion: .tls12, cipherSuites: configured)
        let context = try TLSContext.client(trusting: nil, cipherSuites: offered)
        let pair = MemoryPair(
            try identities.store([identities.local], options: options), client: context)
        #expect(pair.handshake() == (.done, .done))
        #expect(pair.server.facts?.cipher == agreed)
    }

    @Test(arguments: [TLSVersion.tls12, .tls13], ["X25519", "P-256", "P-384"])
    func `keys are exchanged over each of the groups`(version: TLSVersion, group: String) throws {
        let context = try client(version)
        try TLSContext.setGroups(context.pointer, [group])
        // In TLS 1.2 the groups say also on which curves a certificate's key may be (RFC 8422 §5.1).
        let pair = MemoryPair(try identities.store([identities.localRSA]), client: context)
        #expect(pair.handshake() == (.done, .done))
        #expect(pair.server.read(pair.client.seal([1])).plain == [1])
    }

    @Test func `a client without a cipher in common is not one without a group`() throws {
        let context = try client(.tls12)
        #expect(SSL_CTX_set_cipher_list(context.pointer, "AES128-SHA:@SECLEVEL=0") == 1)
        let pair = MemoryPair(try identities.store([identities.local]), client: context)
        #expect(pair.handshake().server == .failed)
        #expect(pair.server.reasons.last == "no shared cipher")
        let ecdsaOnly = try client(.tls12)
        #expect(
            SSL_CTX_set_cipher_list(ecdsaOnly.pointer, "ECDHE-RSA-AES128-GCM-SHA256") == 1)
        let other = MemoryPair(try identities.store([identities.local]), client: ecdsaOnly)
        #expect(other.handshake().server == .failed)
    }

    @Test func `groups that this OpenSSL knows are known by name`() {
        for name in ["X25519", "P-256", "P-384", "P-521", "X448", "ffdhe2048", "secp384r1"] {
            #expect(KeyExchangeGroups.isKnown(name), "\(name)")
        }
        for name in ["", "P-257", "x", "X25519:P-256", "X25519 ", "?X25519", "*P-256", "Pé", "\0"] {
            #expect(!KeyExchangeGroups.isKnown(name), "\(name)")
        }
        #expect(KeyExchangeGroups.defaults.suffix(3) == ["X25519", "P-256", "P-384"])
        #expect(KeyExchangeGroups.known.contains("P-521"))
    }
}
