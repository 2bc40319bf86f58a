// SPDX-License-Identifier: Apache-2.0
import CNghttp2

/// The state of a connection, at an address that does not change: nghttp2's callbacks get it.
///
/// Whatever calls nghttp2 is a method of `CorePointer` and not of this type: a callback changes the
/// state while such a method runs, so it must not hold the state for itself.
struct ConnectionCore {
    let policy: HTTP2Policy
    let memory: HTTP2Memory
    /// Those of `memory`.
    let blocks: HTTP2Memory.Blocks
    /// What nghttp2 has freed, of this connection and of others.
    let freeObjects: UnsafeMutablePointer<LibraryMemory.FreeObjects>
    /// Where bodies lie that the caller keeps; nil where it hands them all over.
    let source: HTTP2BodySource?
    /// nghttp2's session; nil only until it has been made.
    var session: OpaquePointer?
    /// Bytes that nghttp2 has allocated for this session.
    var libraryBytes = 0
    /// The time of the call that is being made, as handed in.
    var milliseconds: Int64
    var streams = StreamTable()
    /// Streams that nghttp2 has open.
    var openCount = 0

    var events: [HTTP2Event] = []
    var eventIndex = 0

    var meter = FrameMeter()
    var budgets: AbuseBudgets
    /// Whether nghttp2 has told of the frame that is being read, as it does not of those that it ignores.
    var isFrameKnown = false
    /// Bytes of the DATA frame that is being read which are no padding.
    var payloadBytes = 0
    /// When the header block that is being read has begun; nil if none is.
    var headBegan: Int64?
    /// Frames of the header block that is being read.
    var headFrames = 0
    /// Bytes that the header block that is being read has decoded to.
    var decodedBytes = 0
    /// Bytes that have arrived and were not given back to the connection's window.
    var unacknowledged = 0

    /// Where `produce` writes next, and how many bytes there is room for; nothing while it does not run.
    var room: UnsafeMutableRawPointer?
    var roomLeft = 0
    /// What is left of a frame that nghttp2 has made; it stays valid until nghttp2 makes the next one.
    var frame: UnsafePointer<UInt8>?
    var frameLeft = 0

    /// Why the connection ends, once that is certain.
    var end: HTTP2ConnectionEnd?
    /// Whether nothing more can be read or made.
    var isOver = false
    /// Whether a GOAWAY was asked for that names the last stream.
    var hasLastStream = false

    /// When the PING went out that is not answered; nil if there is none.
    var pingSent: Int64?
    /// The number in the last PING.
    var pingNumber: UInt64 = 0

    init(
        policy: HTTP2Policy, memory: HTTP2Memory, source: HTTP2BodySource?, milliseconds: Int64
    ) {
        self.policy = policy
        self.memory = memory
        blocks = memory.blocks
        freeObjects = memory.objects
        self.source = source
        self.milliseconds = milliseconds
        budgets = AbuseBudgets(milliseconds: milliseconds)
    }

    /// Puts an event behind those that wait.
    mutating func tell(_ kind: HTTP2Event.Kind, _ index: Int? = nil) {
        if events.capacity == 0 { events = memory.makeEventList() }
        guard let index else {
            events.append(HTTP2Event(stream: .absent, tag: 0, kind: kind))
            return
        }
        let stream = HTTP2Stream(slot: Int32(index), id: streams[index].pointee.id)
        events.append(HTTP2Event(stream: stream, tag: streams[index].pointee.tag, kind: kind))
    }

    /// The event that has waited longest; those of streams that were forgotten are passed over.
    mutating func nextEvent() -> HTTP2Event? {
        while eventIndex < events.count {
            let event = events[eventIndex]
            eventIndex += 1
            if eventIndex == events.count {
                memory.recycle(&events)
                eventIndex = 0
            }
            guard event.stream.id != 0 else { return event }
            guard let index = streams.index(event.stream),
                streams[index].pointee.marks.contains(.told)
            else { continue }
            if event.kind == .data { streams[index].pointee.marks.remove(.dataTold) }
            // A tag that was set since the event came is the one that counts.
            return HTTP2Event(
                stream: event.stream, tag: streams[index].pointee.tag, kind: event.kind)
        }
        return nil
    }

    /// Makes the end of the connection certain and tells of it; the first reason stays.
    mutating func finish(_ reason: HTTP2ConnectionEnd) {
        end = end ?? reason
        guard !isOver else { return }
        isOver = true
        tell(.over)
    }
}

/// Where a connection's state is.
typealias CorePointer = UnsafeMutablePointer<ConnectionCore>

extension UnsafeMutablePointer where Pointee == ConnectionCore {
    /// The core that nghttp2 hands to its callbacks.
    static func of(_ userData: UnsafeMutableRawPointer?) -> CorePointer {
        guard let userData else { preconditionFailure("nghttp2 has lost its user data.") }
        return userData.assumingMemoryBound(to: ConnectionCore.self)
    }

    /// The slot of a stream that nghttp2 has open; nil for one that nobody was told of.
    func slot(_ id: Int32) -> Int? {
        let data = nghttp2_session_get_stream_user_data(pointee.session, id)
        return data.map { Int(bitPattern: $0) - 1 }
    }

    /// Ends the connection: GOAWAY goes out, and nothing more is read.
    func terminate(_ reason: HTTP2ConnectionEnd, _ code: HTTP2ErrorCode) {
        guard pointee.end == nil else { return }
        pointee.end = reason
        nghttp2_session_terminate_session(pointee.session, code.rawValue)
    }

    /// Uses up some of a budget; false if the connection ends for that.
    @discardableResult
    func spend(_ abuse: HTTP2Abuse) -> Bool {
        guard !pointee.budgets.spend(abuse, pointee.policy) else { return true }
        terminate(.abuse(abuse), .enhanceYourCalm)
        return false
    }

    /// Counts a stream that was reset, or has to be, for what the peer did; each stream once.
    func provoked(_ index: Int?) {
        if let index {
            let slot = pointee.streams[index]
            guard !slot.pointee.marks.contains(.resetCounted) else { return }
            slot.pointee.marks.insert(.resetAndCounted)
        }
        spend(.resetsProvoked)
    }

    /// Resets a stream for what the peer did.
    func resetForPeer(_ index: Int, _ code: HTTP2ErrorCode) {
        let id = pointee.streams[index].pointee.id
        guard !pointee.streams[index].pointee.marks.contains(.resetting) else { return }
        provoked(index)
        nghttp2_submit_rst_stream(pointee.session, 0, id, code.rawValue)
    }
}
