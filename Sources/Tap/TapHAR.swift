// SPDX-License-Identifier: Apache-2.0
public import Foundation

/// Collects messages of relays for a HAR (HTTP Archive 1.2) with `_webSocketMessages`, as Chromium's developer tools
/// write them: one entry for each relay, with whole messages of text and binary, and without control frames.
public struct TapHAR {
    /// A message; `data` is text, or base64 of binary.
    struct Message: Codable, Equatable {
        /// `send` from the client, `receive` from the upstream.
        let type: String
        /// Seconds since 1970.
        let time: Double
        /// 1 for text, 2 for binary.
        let opcode: Int
        var data: String
        /// Why `data` is not all of the message, or not what it says; a key of Sluice's.
        var _comment: String?
    }

    private struct Part {
        var opcode: Int
        var bytes = Data()
        var comments: [String] = []
    }

    private struct Story {
        let record: TapRecord
        var parts: [String: Part] = [:]
        var messages: [Message] = []
        var endMicroseconds: UInt64?
    }

    /// Bytes of messages that an archive may have: it is made in memory.
    public static let bytesMax = 128 << 20
    /// What a message, a relay or a part of a message takes beside its payload, about.
    private static let overheadBytes = 512

    private let version: String
    private let bytesMax: Int
    /// What was collected takes so much, about.
    private var byteCount = 0
    private var startedMilliseconds: UInt64 = 0
    private var stories: [String: Story] = [:]
    /// Relays of names that came again.
    private var over: [Story] = []

    /// Nothing was collected yet; `version` is the program's.
    public init(version: String) { self.init(version: version, bytesMax: Self.bytesMax) }

    init(version: String, bytesMax: Int) {
        self.version = version
        self.bytesMax = bytesMax
    }

    /// Whether it has as much as it may have, so that nothing more is to be taken.
    public var isFull: Bool { byteCount >= bytesMax }

    /// Takes a line that was decoded.
    public mutating func take(_ record: TapRecord) {
        switch record.type {
        case .tap: startedMilliseconds = record.startedMilliseconds ?? 0
        case .relay:
            guard let relay = record.relay else { return }
            byteCount += Self.overheadBytes
            if let known = stories.removeValue(forKey: relay) { over.append(known) }
            stories[relay] = Story(record: record)
        case .frame: frame(record)
        case .closed:
            if let relay = record.relay {
                stories[relay]?.endMicroseconds = record.atMicroseconds
                if let known = stories.removeValue(forKey: relay) { over.append(known) }
            }
        case .lost, .end: break
        }
    }

    private mutating func frame(_ record: TapRecord) {
        guard let relay = record.relay, let direction = record.direction, stories[relay] != nil
        else { return }
        let data = record.text.map { Data($0.utf8) } ?? record.payloadData
        var comments: [String] = []
        if record.truncated == true { comments.append("truncated") }
        if record.cut == true { comments.append("cut") }
        if let why = record.notInflated { comments.append("compressed: \(why)") }
        switch record.opcode {
        case "text", "binary":
            stories[relay]?.parts[direction] = Part(
                opcode: record.opcode == "text" ? 1 : 2, bytes: data, comments: comments)
        case "continuation":
            // Of a message whose begin was not told there is nothing to show.
            guard stories[relay]?.parts[direction] != nil else { return }
            stories[relay]?.parts[direction]?.bytes += data
            stories[relay]?.parts[direction]?.comments += comments
        default: return
        }
        byteCount += data.count + Self.overheadBytes
        guard record.final == true, let part = stories[relay]?.parts.removeValue(forKey: direction)
        else { return }
        let text =
            part.opcode == 1 ? String(validating: part.bytes, as: UTF8.self) : nil
        var notes = part.comments
        if part.opcode == 1 && text == nil { notes.append("base64: it is no whole text in UTF-8") }
        stories[relay]?.messages.append(
            Message(
                type: direction == "up" ? "send" : "receive",
                time: Double(startedMilliseconds) / 1_000
                    + Double(record.atMicroseconds) / 1_000_000,
                opcode: part.opcode, data: text ?? part.bytes.base64EncodedString(),
                _comment: notes.isEmpty ? nil : notes.joined(separator: "; ")))
    }

    /// The archive as JSON, relays in the order in which the tap began to listen to them.
    public func archive() -> Data {
        let entries = (over + stories.values).sorted {
            ($0.record.atMicroseconds, $0.record.relay ?? "")
                < ($1.record.atMicroseconds, $1.record.relay ?? "")
        }.map(entry)
        let archive = Archive(
            log: Log(
                version: "1.2", creator: Creator(name: "sluice", version: version), pages: [],
                entries: entries))
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes, .prettyPrinted]
        return ((try? encoder.encode(archive)) ?? Data("{}".utf8)) + Data("\n".utf8)
    }

    private func entry(_ story: Story) -> Entry {
        let record = story.record
        let begin = startedMilliseconds + record.atMicroseconds / 1_000
        let last = story.endMicroseconds ?? record.atMicroseconds
        var fields: [Field] = []
        if let subprotocol = record.subprotocol {
            fields.append(Field(name: "Sec-WebSocket-Protocol", value: subprotocol))
        }
        if let extensions = record.extensions {
            fields.append(Field(name: "Sec-WebSocket-Extensions", value: extensions))
        }
        let isHTTP2 = record.protocol == "h2"
        let url = "\(record.scheme ?? "ws")://\(record.host ?? "")\(record.path ?? "")"
        let time = Double(last - record.atMicroseconds) / 1_000
        return Entry(
            _resourceType: "websocket", _webSocketMessages: story.messages,
            cache: [:], connection: record.relay ?? "",
            request: Request(
                method: isHTTP2 ? "CONNECT" : "GET", url: url,
                httpVersion: isHTTP2 ? "HTTP/2" : "HTTP/1.1"),
            response: Response(
                status: isHTTP2 ? 200 : 101, statusText: isHTTP2 ? "" : "Switching Protocols",
                httpVersion: isHTTP2 ? "HTTP/2" : "HTTP/1.1", headers: fields),
            startedDateTime: Self.time(begin), time: time,
            timings: Timings(receive: time))
    }

    private static func time(_ milliseconds: UInt64) -> String {
        // What is told is cut off behind the milliseconds, and a binary number may be a little below them.
        Date(timeIntervalSince1970: (Double(milliseconds) + 0.25) / 1_000)
            .formatted(
                .iso8601.year().month().day().dateSeparator(.dash)
                    .time(includingFractionalSeconds: true).timeZone(separator: .omitted))
    }

    // The form of HTTP Archive 1.2, with the keys of Chromium's behind `_`.

    private struct Archive: Encodable { let log: Log }
    private struct Log: Encodable {
        let version: String
        let creator: Creator
        let pages: [String]
        let entries: [Entry]
    }
    private struct Creator: Encodable {
        let name: String
        let version: String
    }
    private struct Field: Encodable {
        let name: String
        let value: String
    }
    private struct Entry: Encodable {
        let _resourceType: String
        let _webSocketMessages: [Message]
        let cache: [String: String]
        let connection: String
        let request: Request
        let response: Response
        let startedDateTime: String
        let time: Double
        let timings: Timings
    }
    private struct Request: Encodable {
        let method: String
        let url: String
        let httpVersion: String
        var headers: [Field] = []
        var cookies: [Field] = []
        var queryString: [Field] = []
        var headersSize = -1
        var bodySize = 0
    }
    private struct Response: Encodable {
        let status: Int
        let statusText: String
        let httpVersion: String
        let headers: [Field]
        var cookies: [Field] = []
        var content = Content()
        var redirectURL = ""
        var headersSize = -1
        var bodySize = -1
    }
    private struct Content: Encodable {
        var size = 0
        var mimeType = "x-unknown"
    }
    private struct Timings: Encodable {
        var blocked = -1.0
        var dns = -1.0
        var connect = -1.0
        var ssl = -1.0
        var send = 0.0
        var wait = 0.0
        let receive: Double
    }
}
