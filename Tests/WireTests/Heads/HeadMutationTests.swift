// SPDX-License-Identifier: Apache-2.0

import TestKit
import Testing
import Wire

/// Random and mutated bytes: nothing traps, nothing outgrows its bound, and how the bytes are
/// cut makes no difference.
@Suite struct HeadMutationTests {
    static let limits = HeadLimits(bytesMax: 900, fieldsMax: 16, targetBytesMax: 100)

    /// What came of the bytes, as a text to compare.
    private static func outcome(_ pieces: [ArraySlice<UInt8>]) -> String {
        var parser = RequestHeadParser(limits: limits)
        var taken = 0
        for piece in pieces {
            let progress = parser.take(piece)
            #expect(parser.byteCount <= limits.bytesMax)
            switch progress {
            case .needsMore: taken += piece.count
            case .failed(let fault): return "\(fault)"
            case .complete(let head, let consumed):
                expectLawful(head)
                return "\(head.method) \(head.target) \(head.fields.texts) \(taken + consumed)"
            }
        }
        return "waiting"
    }

    private static func expectLawful(_ head: RequestHead) {
        #expect(head.target.allSatisfy { $0 > 0x20 && $0 != 0x7F && $0 != UInt8(ascii: "#") })
        for field in head.fields.fields {
            #expect(!field.name.isEmpty)
            #expect(head.fields.value(of: field).allSatisfy { $0 >= 32 && $0 != 127 || $0 == 9 })
        }
        // Whatever the parser lets pass, those who read on must not trap over.
        let upgrade = try? UpgradeRequest.judge(head)
        if let path = upgrade?.target.path {
            #expect(path.first == UInt8(ascii: "/"))
            #expect((try? RequestTarget(parsing: path))?.path == path)
        }
    }

    @Test(arguments: 0..<6)
    func `mutated requests come to the same end however they are cut`(seed: Int) {
        var random = SplitMix(seed: UInt64(seed))
        for _ in 0..<400 {
            let bytes = random.mutated(HeadBytes.browser)
            let whole = Self.outcome([bytes[...]])
            #expect(Self.outcome(random.pieces(of: bytes, upTo: 200)) == whole)
            #expect(Self.outcome(random.pieces(of: bytes, upTo: 3)) == whole)
        }
    }

    @Test(arguments: 50..<54)
    func `random bytes behind a lawful beginning do not trap`(seed: Int) {
        var random = SplitMix(seed: UInt64(seed))
        for _ in 0..<400 {
            let start = HeadBytes.browser.prefix(Int.random(in: 0...300, using: &random))
            let bytes = start + random.bytes(Int.random(in: 0...1200, using: &random))
            let whole = Self.outcome([bytes])
            #expect(Self.outcome(random.pieces(of: Array(bytes), upTo: 50)) == whole)
        }
    }

    @Test(arguments: 100..<104)
    func `mutated responses are judged without a trap`(seed: Int) throws {
        var random = SplitMix(seed: UInt64(seed))
        let offered = try UpgradeRequest.judge(HeadBytes.parse(HeadBytes.browser))
        for _ in 0..<500 {
            var parser = ResponseHeadParser(limits: Self.limits)
            let bytes = random.mutated(HeadBytes.switching)
            for piece in random.pieces(of: bytes, upTo: 100) {
                let progress = parser.take(piece)
                #expect(parser.byteCount <= Self.limits.bytesMax)
                guard let head = progress.head else { continue }
                _ = UpgradeAnswer.judge(
                    head, expectedAccept: HeadBytes.accept, offered: offered)
            }
        }
    }

    @Test(arguments: 150..<154)
    func `random targets, hosts and origins do not trap`(seed: Int) {
        var random = SplitMix(seed: UInt64(seed))
        let alphabet = Array("/..%2e2Ff5c;a?:@[]0189://http-\\".utf8)
        let rule = OriginRule.list(same: true, origins: ["https://a.example", "null", ""])
        for _ in 0..<3000 {
            let bytes = (0..<Int.random(in: 0...14, using: &random)).map { _ in
                alphabet[Int.random(in: 0..<alphabet.count, using: &random)]
            }
            if let host = try? HostName(parsing: bytes[...]) {
                #expect(!host.name.isEmpty)
                _ = rule.allows(origin: bytes, host: host)
            }
            guard let target = try? RequestTarget(parsing: bytes) else { continue }
            #expect((try? RequestTarget(parsing: target.path))?.path == target.path)
            #expect(
                !target.path.split(separator: UInt8(ascii: "/")).contains(Array("..".utf8)[...]))
        }
    }
}
