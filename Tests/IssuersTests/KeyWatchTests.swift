// SPDX-License-Identifier: Apache-2.0
import Glibc
import Ledger
import TestKit
import Testing

@testable import Access
@testable import Issuers

/// When issuers are asked for their keys.
struct KeyWatchTests {
    private static let keys =
        #"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"ed","x":"8BHOKHe_0c4Dc_2rAVBRopvPtWrA3geZX9-ztXANNls"}]}"#

    /// Its answer may be older than the question.
    @Test func `who asks while an issuer is being asked has it asked once more`() throws {
        let gate = Gate("the issuer's answer")
        let backend = try ScriptedBackend { peer in
            while let _ = try? peer.readHead() {
                try gate.wait()
                try peer.send(
                    "HTTP/1.1 200 OK\r\nCache-Control: max-age=3600\r\nContent-Length:"
                        + " \(Self.keys.utf8.count)\r\n\r\n\(Self.keys)")
            }
        }
        defer { backend.stop() }
        let watch = KeyWatch(
            journal: Journal(access: { _ in }, event: { _ in }), patience: KeyPatience())
        defer { watch.stop() }
        let ring = TokenKeyring(
            .url("http://127.0.0.1:\(backend.address.port)/jwks.json", authorities: nil))
        try watch.watch([ring], waitingFor: 0)
        try eventually("it is asked") { backend.connectionCount == 1 }
        #expect(ring.want())
        // The second one within 30 s asks for nothing, and the first one's answer is awaited still.
        #expect(ring.want())
        gate.open()
        try eventually("it is asked once more") { ring.report.refreshed == 2 }
        try eventually("nothing is awaited") { !ring.want() }
    }

    private func eventually(_ what: String, _ isTrue: () -> Bool) throws {
        let deadline = Deadline.after(.seconds(60))
        while !isTrue() {
            if deadline.hasPassed { throw PeerError("timed out before \(what)") }
            usleep(5_000)
        }
    }
}
