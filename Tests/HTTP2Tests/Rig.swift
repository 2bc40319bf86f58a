// SPDX-License-Identifier: Apache-2.0
import HTTP2

/// A connection with a client that writes frames by hand, and a clock that the test moves.
final class Rig {
    let memory: HTTP2Memory
    let connection: TestConnection
    var now: Int64 = 10_000

    /// A connection of these limits; with `greets`, both sides have exchanged their settings.
    init(
        memory: HTTP2Memory = HTTP2Memory(), source: HTTP2BodySource? = nil, greets: Bool = true,
        settings: [(UInt16, UInt32)] = [], _ change: (inout HTTP2Limits) -> Void = { _ in }
    ) {
        var limits = HTTP2Limits.usual
        change(&limits)
        self.memory = memory
        connection = TestConnection(limits, memory, source: source, milliseconds: 10_000)
        guard greets else { return }
        _ = output()
        receive(
            RawFrame.preface + RawFrame.settings(settings).bytes
                + RawFrame.settingsAcknowledged.bytes)
        _ = output()
        _ = events()
    }

    func receive(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { connection.receive($0, milliseconds: now) }
    }

    func receive(_ frames: RawFrame...) { receive(frames.bytes) }

    /// Everything that waits to be told.
    func events() -> [HTTP2Event] {
        var events: [HTTP2Event] = []
        while let event = connection.nextEvent() { events.append(event) }
        return events
    }

    func kinds() -> [HTTP2Event.Kind] { events().map(\.kind) }

    /// Everything that is to be sent, in rooms of this size.
    func output(room count: Int = 65_536) -> [UInt8] {
        var output: [UInt8] = []
        let room = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 1)
        defer { room.deallocate() }
        while true {
            let produced = connection.produce(into: room)
            output += room[..<produced]
            if produced < count { return output }
        }
    }

    func frames() -> [RawFrame] { RawFrame.all(in: output()) }

    /// Receives the frames and returns the stream of the request among them.
    func open(_ frames: RawFrame...) -> HTTP2Stream {
        receive(frames.bytes)
        for event in events() {
            if event.isRequest { return event.stream }
        }
        return .absent
    }

    func arrived(_ stream: HTTP2Stream) -> [UInt8] { Array(connection.arrived(stream)) }

    @discardableResult
    func send(_ stream: HTTP2Stream, _ bytes: [UInt8]) -> Bool {
        bytes.withUnsafeBytes { connection.send(stream, $0) }
    }

    @discardableResult
    func send(_ stream: HTTP2Stream, _ bytes: UnsafeMutableRawBufferPointer) -> Bool {
        connection.send(stream, UnsafeRawBufferPointer(bytes))
    }

    @discardableResult
    func answer(
        _ stream: HTTP2Stream, _ status: Int = 200, _ fields: [(String, String)] = [],
        hasBody: Bool = false
    ) -> Bool {
        connection.answer(stream, status: status, Self.fields(fields), hasBody: hasBody)
    }

    static func fields(_ pairs: [(String, String)]) -> HTTP2Fields {
        var fields = HTTP2Fields()
        for (name, value) in pairs { fields.append(name, value) }
        return fields
    }
}

extension HTTP2Limits {
    /// Limits under which nothing of what a test does is too much, unless it says so.
    static let usual = HTTP2Limits(
        streamsMax: 128, headBytesMax: 65_536, headFieldsMax: 256, streamWindowBytes: 65_535,
        allowsExtendedConnect: true, resetsReceived: HTTP2Budget(burst: 300, perSecond: 30))
}

extension HTTP2Head {
    /// The fields as text.
    var pairs: [[String]] { fields.map { [text(of: $0.name), text(of: $0.value)] } }
}

extension RawFrame {
    static func bytes(_ count: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7) }
    }
}
