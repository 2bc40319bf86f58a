// SPDX-License-Identifier: Apache-2.0
public import Ledger
import Wire

extension Relay {
    /// What went from the client to the upstream.
    public var upCounts: DirectionCounts { Self.counts(of: up) }

    /// What went from the upstream to the client.
    public var downCounts: DirectionCounts { Self.counts(of: down) }

    private static func counts(of flow: Flow) -> DirectionCounts {
        var counts = DirectionCounts()
        counts.frames = flow.scanner.frames
        counts.messages = flow.scanner.messages
        counts.payloadBytes = flow.scanner.payloadBytes
        counts.bytes = flow.bytes
        return counts
    }
}
