// SPDX-License-Identifier: Apache-2.0
import HTTP2

/// A connection that expectations can look at, which a noncopyable value does not let them.
final class TestConnection {
    private let connection: HTTP2Connection

    init(
        _ limits: HTTP2Limits, _ memory: HTTP2Memory, source: HTTP2BodySource? = nil,
        milliseconds: Int64
    ) {
        connection = HTTP2Connection(
            HTTP2Policy(limits), memory, source: source, milliseconds: milliseconds)
    }

    func receive(_ bytes: UnsafeRawBufferPointer, milliseconds: Int64) {
        connection.receive(bytes, milliseconds: milliseconds)
    }
    func nextEvent() -> HTTP2Event? { connection.nextEvent() }
    func produce(into room: UnsafeMutableRawBufferPointer) -> Int { connection.produce(into: room) }
    var wantsToProduce: Bool { connection.wantsToProduce }
    var openStreams: Int { connection.openStreams }
    var isOver: Bool { connection.isOver }
    var headBeganMilliseconds: Int64? { connection.headBeganMilliseconds }
    var end: HTTP2ConnectionEnd? { connection.end }
    var lastStreamID: Int32 { connection.lastStreamID }
    var memoryBytes: Int { connection.memoryBytes }

    func announceShutdown() { connection.announceShutdown() }
    func shutDown() { connection.shutDown() }
    func terminate(_ code: HTTP2ErrorCode) { connection.terminate(code) }
    func ping(milliseconds: Int64) { connection.ping(milliseconds: milliseconds) }
    func unansweredPing(milliseconds: Int64) -> Int64? {
        connection.unansweredPing(milliseconds: milliseconds)
    }

    func setTag(_ stream: HTTP2Stream, _ tag: UInt64) { connection.setTag(stream, tag) }
    func isOpen(_ stream: HTTP2Stream) -> Bool { connection.isOpen(stream) }
    func takeHead(_ stream: HTTP2Stream) -> HTTP2Head? { connection.takeHead(stream) }
    /// The head, which has to be there.
    func head(_ stream: HTTP2Stream) throws(NoHead) -> SeenHead {
        guard let head = connection.takeHead(stream) else { throw NoHead() }
        return SeenHead(head)
    }
    /// Takes the head, if there is one.
    func hasNoHead(_ stream: HTTP2Stream) -> Bool { connection.takeHead(stream) == nil }
    /// The fields of the trailers, as text; nil if there are none.
    func takeTrailerPairs(_ stream: HTTP2Stream) -> [[String]]? {
        guard let trailers = connection.takeTrailers(stream) else { return nil }
        return trailers.pairs
    }
    func arrived(_ stream: HTTP2Stream) -> UnsafeMutableRawBufferPointer {
        connection.arrived(stream)
    }
    func hasPeerEnded(_ stream: HTTP2Stream) -> Bool { connection.hasPeerEnded(stream) }
    func consume(_ stream: HTTP2Stream, _ count: Int) { connection.consume(stream, count) }
    func take(_ stream: HTTP2Stream, _ count: Int) { connection.take(stream, count) }
    func giveBack(_ stream: HTTP2Stream, _ count: Int) { connection.giveBack(stream, count) }

    @discardableResult
    func sendInterim(
        _ stream: HTTP2Stream, status: Int, _ fields: HTTP2Fields = HTTP2Fields()
    ) -> Bool { connection.sendInterim(stream, status: status, fields) }
    @discardableResult
    func answer(
        _ stream: HTTP2Stream, status: Int, _ fields: HTTP2Fields, hasBody: Bool
    ) -> Bool { connection.answer(stream, status: status, fields, hasBody: hasBody) }
    func send(_ stream: HTTP2Stream, _ bytes: UnsafeRawBufferPointer) -> Bool {
        connection.send(stream, bytes)
    }
    @discardableResult
    func offer(_ stream: HTTP2Stream) -> Bool { connection.offer(stream) }
    @discardableResult
    func finish(_ stream: HTTP2Stream, trailers: HTTP2Fields? = nil) -> Bool {
        connection.finish(stream, trailers: trailers)
    }
    func heldBytes(_ stream: HTTP2Stream) -> Int { connection.heldBytes(stream) }
    func windowBytes(_ stream: HTTP2Stream) -> Int { connection.windowBytes(stream) }
    func tellWhenDrained(_ stream: HTTP2Stream) { connection.tellWhenDrained(stream) }
    func reset(_ stream: HTTP2Stream, _ code: HTTP2ErrorCode, isPeersFault: Bool = false) {
        connection.reset(stream, code, isPeersFault: isPeersFault)
    }
    func forget(_ stream: HTTP2Stream) { connection.forget(stream) }
}

extension HTTP2Event {
    var isRequest: Bool { if case .request = kind { true } else { false } }
}

/// A stream has no head that could be taken.
struct NoHead: Error {}

/// A head that can be asked within `#expect`, which takes nothing that can't be copied.
final class SeenHead {
    private let head: HTTP2Head

    init(_ head: consuming HTTP2Head) { self.head = head }

    var bytes: [UInt8] { head.bytes }
    var fields: [HTTP2Field] { head.fields }
    var pairs: [[String]] { head.pairs }
    var method: HTTP2Place { head.method }
    var scheme: HTTP2Place { head.scheme }
    var authority: HTTP2Place { head.authority }
    var path: HTTP2Place { head.path }
    var protocolName: HTTP2Place { head.protocolName }
    var fault: HTTP2Head.Fault? { head.fault }

    func bytes(of place: HTTP2Place) -> ArraySlice<UInt8> { head.bytes(of: place) }
    func text(of place: HTTP2Place) -> String { head.text(of: place) }
}
