// SPDX-License-Identifier: Apache-2.0
import Reactor
import Splice

/// Who has the connection that a stream belongs to: it brings what the peer sends, no more than it has
/// been given room for, and takes what is to be sent.
///
/// In place of frames on a connection there is a socket of the stream's own at its other side.
final class StreamOwner {
    let feed = StreamFeed(StreamOutbox())
    private let socket: Socket
    /// How much the peer may still send.
    private var window = StreamOwner.windowBytes
    private var unsent: [UInt8] = []
    private var isReadable = false
    private var hasEnded = false
    private var isShut = false

    static let windowBytes = 48 * 1024

    init(_ socket: consuming Socket) { self.socket = socket }

    /// Takes what has come on the socket; what the stream learns of it.
    func take(_ flags: Readiness, _ space: UnsafeMutablePointer<Workspace>) -> Readiness {
        if flags.contains(.readable) || flags.contains(.hangup) { isReadable = true }
        return bring(space)
    }

    private func bring(_ space: UnsafeMutablePointer<Workspace>) -> Readiness {
        window += feed.takeReadCount()
        var flags: Readiness = []
        let memory = UnsafeMutablePointer<UInt8>.allocate(capacity: Self.windowBytes)
        defer { memory.deallocate() }
        while isReadable, !hasEnded, window > 0 {
            switch socket.receive(into: memory, count: window) {
            case .moved(let count):
                window -= count
                feed.put(
                    UnsafeRawBufferPointer(start: memory, count: count), &space.pointee.pool)
                flags.formUnion(.readable)
            case .blocked: isReadable = false
            case .ended:
                hasEnded = true
                feed.end()
                flags.formUnion([.readable, .hangup])
            case .failed:
                hasEnded = true
                feed.reset(&space.pointee.pool)
                flags.formUnion([.readable, .hangup])
            }
        }
        return flags
    }

    /// Takes what the leg holds, and brings more; what the stream learns of it.
    func serve(_ leg: inout Leg, _ space: UnsafeMutablePointer<Workspace>) -> Readiness {
        var flags = bring(space)
        var hasTaken = false
        while flush(), !leg.held.isEmpty {
            unsent = [UInt8](unsafeUninitializedCapacity: 16_384) { buffer, count in
                guard let start = buffer.baseAddress else { return }
                count = leg.takeHeld(into: start, capacity: buffer.count, space)
            }
            hasTaken = true
        }
        if hasTaken && leg.held.isEmpty { flags.formUnion(.writable) }
        if leg.isShut && unsent.isEmpty && !isShut {
            isShut = true
            socket.shutdownWrite()
        }
        return flags
    }

    /// Sends what it has taken; whether nothing is left of it.
    private func flush() -> Bool {
        while !unsent.isEmpty {
            let count = unsent.count
            let result = unsent.withUnsafeBufferPointer { bytes in
                bytes.baseAddress.map { socket.send($0, count: count) } ?? .ended
            }
            switch result {
            case .moved(let moved): unsent.removeFirst(moved)
            case .blocked: return false
            case .ended, .failed:
                unsent = []
                return true
            }
        }
        return true
    }
}
