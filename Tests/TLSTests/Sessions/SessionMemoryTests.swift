// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import TLS

/// What a thread keeps of OpenSSL's freed memory.
struct SessionMemoryTests {
    @Test(arguments: [SessionMemory.Wiping.nothing, .everything])
    func `what was kept is malloc's again when it is given back, also while it is overwritten`(
        _ wiping: SessionMemory.Wiping
    ) {
        SessionMemory.giveBackKept()
        SessionMemory.wiping(wiping) {
            let sizes = [1, 24, 25, 1_000, 16_384, 17_000]
            var objects: [UnsafeMutableRawPointer?] = []
            for _ in 0..<10 {
                objects += sizes.map { SessionMemory.allocate($0) }
            }
            #expect(objects.allSatisfy { $0 != nil } && SessionMemory.keptBytes == 0)
            for object in objects { SessionMemory.release(object) }
            let kept = SessionMemory.keptBytes
            #expect(kept > 300_000 && kept < 400_000)
            SessionMemory.giveBackKept()
            #expect(SessionMemory.keptBytes == 0)
            // The lists go on as before.
            SessionMemory.release(SessionMemory.allocate(1_000))
            #expect(SessionMemory.keptBytes > 900)
            SessionMemory.giveBackKept()
        }
        #expect(SessionMemory.keptBytes == 0)
    }
}
