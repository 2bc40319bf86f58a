// SPDX-License-Identifier: Apache-2.0
import Reactor

/// Bytes in a second: a source that has used its rate up is not read until there is more of it.
///
/// What it sends meanwhile stays in the kernel, and so it learns by TCP that it has to wait.
extension Relay {
    /// Whether a source waits for nothing but its rate.
    var isPaused: Bool {
        up.isPaused && mayRead(.client) || down.isPaused && mayRead(.backend)
    }

    /// When `ready` is to be called again for the sake of a rate.
    public func resumeMilliseconds(now: UInt64) -> UInt64 {
        let delayed = isDelaying ? faultsResume(now) : .max
        let up = up.isPaused ? up.meter?.resumeMilliseconds : nil
        let down = down.isPaused ? down.meter?.resumeMilliseconds : nil
        return min(delayed, up ?? .max, down ?? .max)
    }

    /// How many bytes may be read now; 0 where the source has to wait.
    mutating func bytesAllowed(
        _ side: Side, _ space: UnsafeMutablePointer<Workspace>
    ) -> Int {
        // Also at an end: what comes would wait without bound.
        if isLineFull(from: side) {
            if side == .client { up.isPaused = true } else { down.isPaused = true }
            return 0
        }
        // An end does not wait: who has gone is seen to be gone, and a frame half sent is finished.
        let allowed =
            ending.hasBegun || client.isUnwritable || backend.isUnwritable
            ? Int.max
            : meter(of: side)?.bytesAllowed(nowMilliseconds: space.pointee.nowMilliseconds)
                ?? .max
        if side == .client { up.isPaused = allowed == 0 } else { down.isPaused = allowed == 0 }
        return allowed
    }

    private func meter(of side: Side) -> Meter? { side == .client ? up.meter : down.meter }

    /// Takes note of bytes that were read.
    mutating func spend(
        _ side: Side, _ count: Int, _ space: UnsafeMutablePointer<Workspace>
    ) {
        meter(of: side)?.spend(count, nowMilliseconds: space.pointee.nowMilliseconds)
    }

    /// Takes note of messages at once, so that the client's other relays know of them.
    mutating func chargeMessages(_ space: UnsafeMutablePointer<Workspace>) {
        up.meter?.charge(up.scanner, nowMilliseconds: space.pointee.nowMilliseconds)
    }
}
