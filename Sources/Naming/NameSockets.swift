// SPDX-License-Identifier: Apache-2.0
import Reactor

/// The sockets of a c-ares channel, and how they have to be watched: it opens and closes them itself.
///
/// It says so from within its own calls, while nobody can reach the poller; what it has said is carried
/// out when the call has ended.
final class NameSockets {
    private struct Watch {
        var reads: Bool
        var writes: Bool
        /// Whether it was opened since the poller was told, maybe with the number of one that is closed.
        var isNew: Bool
    }

    /// Which channel, in the tokens of its sockets.
    private let tag: UInt8
    private var watches: [Int32: Watch] = [:]
    private var changed: Set<Int32> = []

    init(tag: UInt8) { self.tag = tag }

    /// Takes what c-ares says of a socket; with neither it is about to be closed.
    func note(_ descriptor: Int32, reads: Bool, writes: Bool) {
        if !reads && !writes {
            // Closing takes it out of the poller.
            watches[descriptor] = nil
            changed.remove(descriptor)
            return
        }
        let isNew = watches[descriptor]?.isNew ?? true
        watches[descriptor] = Watch(reads: reads, writes: writes, isNew: isNew)
        changed.insert(descriptor)
    }

    /// Has the poller watch what is open now, in the way in which c-ares waits for it.
    func update(_ poller: borrowing Poller) {
        for descriptor in changed {
            guard let watch = watches[descriptor] else { continue }
            let token = Token(index: UInt32(bitPattern: descriptor), generation: 0, tag: tag)
            let interest: Interest = watch.writes ? .level : .levelRead
            if watch.isNew {
                // Without room it is as if no answer came: c-ares tries again.
                _ = poller.add(descriptor, token, interest)
            } else {
                poller.modify(descriptor, token, interest)
            }
            watches[descriptor]?.isNew = false
        }
        changed.removeAll(keepingCapacity: true)
    }
}
