// SPDX-License-Identifier: Apache-2.0
//
// Goal: nobody who asks for metrics does harm: neither with a thousand scrapes at once nor with answers that are not
// taken.
// Method: a Sluice with so many endpoints that an answer is larger than any socket holds; peers that cut it in the
// middle, do not read it, or are a thousand; health and WebSockets are asked for meanwhile.

import Foundation
import TestKit
import Testing

@Suite struct ScrapeFloodTests {
    /// So many that the answer does not fit into the buffers of a socket.
    private static let endpoints = 1_500
    private static let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"

    private static func started(_ backend: ManualBackend) throws -> Operated {
        try Operated(
            routes: ["{ path: /Esv/ocp, to: \"\(backend.address)\" }"]
                + (0..<endpoints).map {
                    "{ path: /r\($0), to: \"ws://127.1.\($0 / 250).\($0 % 250 + 1):9\" }"
                })
    }

    @Test func `a scrape that is cut in the middle, or not taken at all, delays nobody`() throws {
        let backend = try ManualBackend()
        let sluice = try Self.started(backend)
        defer { Scratch.remove(sluice.folder) }
        let ends = try sluice.proxy.relay(to: backend)
        let whole = try sluice.ask("/metrics").output
        #expect(whole.utf8.count > 500_000)
        let before = try openDescriptors(of: sluice.proxy)
        // These take nothing of their answers for as long as the test lasts.
        let silent = try (0..<4).map { _ in
            let peer = try WebSocketPeer.connect(
                to: .unix(sluice.socket), receiveBufferBytes: 4_096)
            try peer.send(Self.request)
            return peer
        }
        for cut in [1, 100, 5_000, 100_000, 300_000] {
            let peer = try WebSocketPeer.connect(to: .unix(sluice.socket))
            try peer.send(Self.request)
            let got = try peer.read(cut)
            #expect(got.starts(with: "HTTP/1.1 200 OK".utf8.prefix(cut)))
            peer.stream.close()
            #expect(try sluice.ask("/metrics").output.utf8.count > 500_000)
        }
        try ends.exchange("still here")
        for peer in silent { peer.stream.close() }
        try eventually("what was opened for them is closed") {
            try openDescriptors(of: sluice.proxy) <= before
        }
    }

    @Test func `of a thousand scrapes at once some are answered, and the others are told so`()
        throws
    {
        let backend = try ManualBackend()
        let sluice = try Self.started(backend)
        defer { Scratch.remove(sluice.folder) }
        let ends = try sluice.proxy.relay(to: backend)
        // Nobody reads before all have asked: an answer that goes on keeps its place.
        let peers = try (0..<1_000).map { _ in
            let peer = try WebSocketPeer.connect(to: .unix(sluice.socket))
            try? peer.send(Self.request)
            return peer
        }
        #expect(try sluice.ask("/healthz").output == "ok\n")
        try ends.exchange("meanwhile")
        let threads = try threadNames(of: sluice.proxy).filter { $0 == "sluice-request" }.count
        #expect(threads <= 40, "\(threads)")
        var statuses: [Int: Int] = [:]
        for peer in peers {
            guard let response = try? peer.readResponse() else { continue }
            statuses[response.status, default: 0] += 1
            if response.status == 200 {
                #expect(response.text.hasSuffix("\n") && response.text.utf8.count > 500_000)
            }
        }
        #expect(Set(statuses.keys).isSubset(of: [200, 408, 503]), "\(statuses)")
        #expect((1...32).contains(statuses[200] ?? 0), "\(statuses)")
        #expect((statuses[503] ?? 0) > 0, "\(statuses)")
        #expect(statuses.values.reduce(0, +) > 900, "\(statuses)")
        try eventually("a scrape is answered again") { try !sluice.scrape().isEmpty }
        try ends.exchange("still here")
    }
}
