// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

@testable import TLS

/// What a store says of files that will not do, and what stays of one that is gone.
struct CertificateStoreTests {
    let identities: Identities
    let scratch: CertificateScratch

    init() throws {
        identities = try Identities.shared()
        scratch = try CertificateScratch()
    }

    @Test func `no certificate at all is refused`() {
        #expect(fault([])?.description == "no certificate is configured")
    }

    @Test func `a missing chain is named`() {
        let path = scratch.path("none.pem")
        let fault = fault([IdentityFiles(chain: path, key: identities.local.key)])
        #expect(fault?.problems == [IdentityProblem(path, .unreadable(ENOENT))])
    }

    @Test func `a missing key is named`() {
        let path = scratch.path("none.pem")
        let fault = fault([IdentityFiles(chain: identities.local.chain, key: path)])
        #expect(fault?.problems == [IdentityProblem(path, .unreadable(ENOENT))])
    }

    @Test func `a chain that is no PEM is named`() throws {
        try scratch.write("hello\n", to: "chain.pem")
        let path = scratch.path("chain.pem")
        let fault = fault([IdentityFiles(chain: path, key: identities.local.key)])
        #expect(fault?.problems == [IdentityProblem(path, .notPEM)])
    }

    @Test func `a chain that breaks off is named`() throws {
        let whole = try String(contentsOfFile: identities.local.chain, encoding: .utf8)
        try scratch.write(whole + whole.prefix(200), to: "chain.pem")
        let path = scratch.path("chain.pem")
        let fault = fault([IdentityFiles(chain: path, key: identities.local.key)])
        #expect(
            fault?.problems == [IdentityProblem(path, .damaged(block: 2, label: "CERTIFICATE"))])
    }

    @Test func `a key that is no PEM is named`() throws {
        try scratch.write("hello\n", to: "key.pem")
        let path = scratch.path("key.pem")
        let fault = fault([IdentityFiles(chain: identities.local.chain, key: path)])
        #expect(fault?.problems == [IdentityProblem(path, .notPEM)])
    }

    @Test func `another certificate's key is refused, with both files named`() {
        let fault = fault([
            identities.chat,
            IdentityFiles(chain: identities.local.chain, key: identities.chat.key),
        ])
        #expect(
            fault?.problems == [
                IdentityProblem(
                    identities.chat.key, .keyOfAnother(chain: identities.local.chain))
            ])
    }

    @Test func `a key of another kind is refused too`() {
        let fault = fault([
            IdentityFiles(chain: identities.local.chain, key: identities.localRSA.key)
        ])
        #expect(
            fault?.description.contains("does not belong") == true, "\(String(describing: fault))")
    }

    @Test func `a key with a passphrase is refused without asking`() throws {
        try scratch.openssl(
            "pkey", "-in", identities.local.key, "-aes256", "-passout", "pass:secret", "-out",
            scratch.path("locked.pem"))
        let path = scratch.path("locked.pem")
        let fault = fault([IdentityFiles(chain: identities.local.chain, key: path)])
        #expect(fault?.problems == [IdentityProblem(path, .passphrase)])
    }

    @Test(arguments: [
        TLSServerOptions(minimumVersion: .tls12, cipherList: "NONSENSE"),
        TLSServerOptions(minimumVersion: .tls12, cipherSuites: "NONSENSE"),
    ])
    func `ciphers that there are not are named`(options: TLSServerOptions) {
        #expect(fault([identities.local], options)?.doing.contains("NONSENSE") == true)
    }

    @Test func `after a fault this thread's next session is untouched by it`() throws {
        try scratch.write("hello\n", to: "key.pem")
        let broken = IdentityFiles(chain: identities.local.chain, key: scratch.path("key.pem"))
        #expect(fault([broken]) != nil)
        let pair = MemoryPair(try identities.store([identities.local]), client: try client())
        #expect(pair.handshake() == (.done, .done))
    }

    @Test func `a store that is gone keeps nothing alive, and its sessions go on`() throws {
        weak var context: TLSContext?
        weak var keys: TicketKeys?
        var pair: MemoryPair?
        do {
            let tickets = try TicketKeys()
            let store = try identities.store(
                [identities.local, identities.chat, identities.localRSA], tickets: tickets)
            context = store.initial
            keys = tickets
            pair = MemoryPair(store, client: try client(), serverName: "chat.example")
        }
        #expect(context == nil)
        #expect(keys != nil, "the session still seals its ticket with them")
        let ends = pair?.handshake()
        #expect(ends?.client == .done && ends?.server == .done)
        #expect(pair?.server.facts?.serverName == "chat.example")
        pair = nil
        // Every SSL_CTX held them, so every one of them was freed.
        #expect(keys == nil)
    }

    @Test func `a thousand stores come and go without a trace`() throws {
        let tickets = try TicketKeys()
        // Other tests run at the same time and take memory too: a leak shows in every round, and
        // one round without growth shows that there is none.
        let growthMax = 200 * 2_048
        var leastGrowth = Int.max
        for round in 0..<60 where round < 5 || leastGrowth >= growthMax {
            let before = try residentBytes()
            for _ in 0..<200 {
                let store = try identities.store(
                    [identities.local, identities.localRSA, identities.wild], tickets: tickets)
                #expect(store.defaultNames.first == "localhost")
            }
            // The first round also warms caches up.
            if round > 0 { leastGrowth = min(leastGrowth, try residentBytes() - before) }
        }
        #expect(leastGrowth < growthMax, "\(leastGrowth) bytes for 200 stores")
    }

    private func residentBytes() throws -> Int {
        let text = try String(contentsOfFile: "/proc/self/statm", encoding: .utf8)
        let fields = text.split(separator: " ")
        return try #require(fields.count > 1 ? Int(fields[1]) : nil) * Int(getpagesize())
    }

    private func fault(
        _ files: [IdentityFiles],
        _ options: TLSServerOptions = TLSServerOptions(minimumVersion: .tls12)
    ) -> TLSError? {
        do {
            _ = try identities.store(files, options: options)
            return nil
        } catch {
            return error as? TLSError
        }
    }
}
