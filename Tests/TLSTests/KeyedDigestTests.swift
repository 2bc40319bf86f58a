// SPDX-License-Identifier: Apache-2.0
import TLS
import Testing

/// Names for bytes that should not be kept.
struct KeyedDigestTests {
    @Test func `the same texts have the same digest, and others another one`() {
        let key = DigestKey()
        let texts: [[UInt8]] = [
            [], [0], [0, 0], Array("a".utf8), Array("ab".utf8), Array("b".utf8),
        ]
        var seen: [KeyedDigest: [[UInt8]]] = [:]
        for first in texts {
            for second in texts {
                let digest = key.digest(of: first, second)
                #expect(digest == key.digest(of: first, second))
                #expect(seen[digest] == nil, "\(first) \(second)")
                seen[digest] = [first, second]
            }
        }
        #expect(seen.count == texts.count * texts.count)
    }

    @Test func `another key makes other digests`() {
        #expect(DigestKey().digest(of: [1], [2]) != DigestKey().digest(of: [1], [2]))
    }
}
