// SPDX-License-Identifier: Apache-2.0
import Config
import Foundation
import Tap

/// What was recorded of WebSockets, to be played again: a file of `sluice tap --record`, or a HAR with
/// `_webSocketMessages` as browsers write it.
public struct LoadRecording: Sendable {
    /// A whole message.
    struct Message: Sendable, Equatable {
        /// Since the WebSocket was opened, in seconds.
        let seconds: Double
        /// Whether the client sent it.
        let isSent: Bool
        let isText: Bool
        let bytes: [UInt8]
    }

    /// One WebSocket.
    struct Socket: Sendable {
        var name: String
        var path: String?
        /// Fields of the request that may be secrets.
        var secrets: [LoadHeader] = []
        /// The query of the URL, which may be one as well.
        var query: String?
        var subprotocols: [String] = []
        var messages: [Message] = []
        /// When the first Close came or the WebSocket ended, or else the last frame came: seconds since it was opened.
        var endSeconds = 0.0
        /// Whether its end is known.
        var hasEnded = false

        /// Takes from a line how long the WebSocket went on.
        mutating func note(_ record: TapRecord, at seconds: Double) {
            // One that goes on elsewhere has not ended.
            guard !hasEnded, record.reason != TapRecord.movedReason else { return }
            guard record.type == .frame || record.type == .closed else { return }
            endSeconds = max(endSeconds, seconds)
            hasEnded = record.type == .closed || record.opcode == "close"
        }
    }

    /// How fast a recording is played.
    public enum Speed: Sendable, Equatable {
        /// So many times as fast as it was.
        case times(Double)
        /// Each message as soon as those that had come before it are there.
        case max
    }

    /// Payload that a record may have: all of it is kept, since many clients play it.
    private static let payloadBytesMax = 1 << 30
    /// A HAR is one value of JSON, which is read as a whole and takes many times its size meanwhile.
    private static let archiveBytesMax = 256 << 20
    /// A WebSocket that takes longer is not played: 30 days.
    private static let longestSeconds = 30 * 86_400.0

    let sockets: [Socket]

    /// How many WebSockets it has.
    public var count: Int { sockets.count }

    /// Reads a file of either form.
    ///
    /// - Throws: `LoadFault` that says what is wrong with it and what to do.
    public init(path: String) throws(LoadFault) {
        let data: Data
        do {
            // Pages of it are in memory only as long as they are read.
            data = try Data(contentsOf: URL(fileURLWithPath: path), options: .mappedIfSafe)
        } catch {
            throw LoadFault(
                "\(path): it can't be read; see whether it is there and who may read it")
        }
        if Self.isOutputOfK6(data) {
            throw LoadFault(
                "\(path): these are metrics of k6 (--out json), in which no message stands, so there is nothing to play;"
                    + " record with sluice tap --record, or save a HAR in a browser's developer tools"
            )
        }
        let isRecord = data.firstIndex(of: 0x0A).map { TapRecord(line: data[..<$0]) != nil }
        let all =
            isRecord == true
            ? try Self.sockets(ofRecord: data, path) : try Self.sockets(ofHAR: data, path)
        let isTooLong = all.contains { socket in
            socket.endSeconds > Self.longestSeconds
                || socket.messages.contains { $0.seconds > Self.longestSeconds }
        }
        if isTooLong {
            throw LoadFault(
                "\(path): a message in it came more than 30 days behind the first; see whether its times are in"
                    + " seconds")
        }
        sockets = all.filter { $0.messages.contains(where: \.isSent) }
        if sockets.isEmpty {
            throw LoadFault(
                "\(path): no WebSocket in it has a message of its client, so there is nothing to play"
            )
        }
    }

    /// The recording as a script, in which each WebSocket is a scenario.
    ///
    /// - Parameters:
    ///   - speed: how fast it is played.
    ///   - expectsReplies: whether what comes back has to be what was recorded.
    ///   - sendsSecrets: whether fields of requests and queries of URLs are sent as recorded.
    /// - Returns: the script.
    public func program(
        speed: Speed, expectsReplies: Bool, sendsSecrets: Bool
    ) -> LoadProgram {
        LoadProgram(
            playing: sockets.map { socket in
                var scenario = LoadScenario()
                scenario.name = socket.name
                if let path = socket.path {
                    let query = sendsSecrets ? socket.query.map { "?" + $0 } ?? "" : ""
                    scenario.path = path + query
                }
                scenario.subprotocols = socket.subprotocols
                if sendsSecrets { scenario.headers = socket.secrets }
                scenario.steps = Self.steps(socket, speed, expectsReplies)
                return scenario
            })
    }

    private static func steps(
        _ socket: Socket, _ speed: Speed, _ expectsReplies: Bool
    ) -> [LoadStep] {
        let place = SourcePlace(file: socket.name, line: 0, column: 0)
        var steps: [LoadStep] = []
        for (index, message) in socket.messages.enumerated() {
            let place = SourcePlace(file: "message \(index + 1)", line: 0, column: 0)
            if message.isSent {
                if case .times(let factor) = speed {
                    steps.append(LoadStep(.until(.seconds(message.seconds / factor)), place: place))
                }
                let action: LoadStep.Action =
                    message.isText
                    ? .send(String(decoding: message.bytes, as: UTF8.self))
                    : .sendBytes(message.bytes)
                steps.append(LoadStep(action, place: place))
            } else if expectsReplies || speed == .max {
                var check = LoadCheck()
                if expectsReplies {
                    check.bytes = message.bytes
                    check.isText = message.isText
                    check.isNext = true
                }
                steps.append(LoadStep(.expect(check), place: place))
            }
        }
        if case .times(let factor) = speed, let last = socket.messages.last {
            let end = max(last.seconds, socket.endSeconds)
            steps.append(LoadStep(.until(.seconds(end / factor)), place: place))
        }
        return steps
    }

    // MARK: Records of taps

    /// A message that is not whole yet.
    private struct Part {
        let seconds: Double
        let isText: Bool
        var bytes: [UInt8]
    }

    private static func sockets(
        ofRecord data: Data, _ path: String
    ) throws(LoadFault) -> [Socket] {
        var sockets: [Socket] = []
        var places: [String: (index: Int, openedAt: Double)] = [:]
        var parts: [String: Part] = [:]
        var kept = 0
        var number = -1
        var rest = data[...]
        while !rest.isEmpty {
            let end = rest.firstIndex(of: 0x0A) ?? rest.endIndex
            let line = rest[..<end]
            rest = rest[end...].dropFirst()
            number += 1
            if line.isEmpty { continue }
            guard let record = TapRecord(line: line) else {
                throw LoadFault(
                    "\(path), line \(number + 1): this is no line of sluice tap --record")
            }
            let seconds = Double(record.atMicroseconds) / 1e6
            guard let relay = record.relay else { continue }
            if record.type == .relay {
                places[relay] = (sockets.count, seconds)
                var socket = Socket(name: relay)
                socket.path = record.path
                socket.subprotocols = record.subprotocol.map { [$0] } ?? []
                sockets.append(socket)
            }
            if let place = places[relay] {
                sockets[place.index].note(record, at: seconds - place.openedAt)
            }
            guard record.type == .frame, let place = places[relay],
                let direction = record.direction, record.context != true
            else { continue }
            let bytes = try payload(record, path, number + 1)
            kept += bytes.count
            guard kept <= payloadBytesMax else {
                throw LoadFault(
                    "\(path), line \(number + 1): the payload up to here is more than 1 GiB, and all of it has to be in"
                        + " memory; record less (sluice tap --route, --relay or --client), or play a part of the file"
                )
            }
            let key = "\(relay) \(direction)"
            switch record.opcode {
            case "text", "binary":
                parts[key] = Part(
                    seconds: seconds - place.openedAt, isText: record.opcode == "text",
                    bytes: bytes)
            case "continuation": parts[key]?.bytes += bytes
            default: continue
            }
            guard record.final != false, let part = parts.removeValue(forKey: key) else { continue }
            sockets[place.index].messages.append(
                Message(
                    seconds: max(0, part.seconds), isSent: direction == "up", isText: part.isText,
                    bytes: part.bytes))
        }
        return sockets
    }

    private static func payload(
        _ record: TapRecord, _ path: String, _ line: Int
    ) throws(LoadFault) -> [UInt8] {
        guard ["text", "binary", "continuation"].contains(record.opcode ?? "") else { return [] }
        let bytes = record.text.map { Array($0.utf8) } ?? Array(record.payloadData)
        let isLacking = bytes.isEmpty && (record.inflatedBytes ?? record.bytes ?? 0) > 0
        if record.truncated == true || record.notInflated != nil || isLacking {
            throw LoadFault(
                "\(path), line \(line): the payload is not all there, so it can't be played; record with"
                    + " payloads (admin: { tap: payloads }) and with --max-bytes 1048576")
        }
        return bytes
    }

    // MARK: k6

    /// A line of what `k6 run --out json` writes.
    private struct LineOfK6: Decodable {
        let type: String
        let metric: String
    }

    /// Whether the file begins as the metrics that k6 writes.
    private static func isOutputOfK6(_ data: Data) -> Bool {
        let line = data.prefix(65_536).prefix { $0 != 0x0A }
        guard let first = try? JSONDecoder().decode(LineOfK6.self, from: Data(line)) else {
            return false
        }
        return first.type == "Metric" || first.type == "Point"
    }

    // MARK: HAR

    private struct Archive: Decodable {
        struct Log: Decodable { let entries: [Entry]? }
        struct Entry: Decodable {
            let request: Request?
            let response: Response?
            let _webSocketMessages: [Message]?

            /// Whether it is a WebSocket of which nothing is kept but its handshake.
            var isWithoutMessages: Bool {
                _webSocketMessages == nil
                    && (response?.status == 101 || request?.url?.hasPrefix("ws") == true)
            }
        }
        struct Response: Decodable { let status: Int? }
        struct Request: Decodable {
            let url: String?
            let headers: [Header]?
        }
        struct Header: Decodable {
            let name: String?
            let value: String?
        }
        /// Who writes an archive may leave out what it does not know.
        struct Message: Decodable {
            let type: String?
            let time: Double?
            let opcode: Int?
            let data: String?

            /// Whether it is text, which it also is where nothing is said.
            var isText: Bool { (opcode ?? 1) == 1 }
            /// Whether it is a message that can be played.
            var hasData: Bool { (isText || opcode == 2) && data != nil }
            /// Its payload; nil where it has none, or none that can be read.
            var bytes: [UInt8]? {
                guard let data else { return nil }
                return isText ? Array(data.utf8) : Data(base64Encoded: data).map { Array($0) }
            }
        }
        let log: Log
    }

    private static func sockets(ofHAR data: Data, _ path: String) throws(LoadFault) -> [Socket] {
        guard data.count <= archiveBytesMax else {
            throw LoadFault(
                "\(path): this is no record of sluice tap --record, and a HAR may have 256 MiB: it has"
                    + " \(data.count / 1_048_576) MiB; save a part of it, or record with sluice tap --record"
            )
        }
        let archive: Archive
        do {
            archive = try JSONDecoder().decode(Archive.self, from: data)
        } catch {
            throw LoadFault(
                "\(path): this is neither a record of sluice tap --record nor a HAR (HTTP Archive)")
        }
        let entries = archive.log.entries ?? []
        let lacking = entries.count { $0.isWithoutMessages }
        if lacking > 0, entries.allSatisfy({ $0._webSocketMessages == nil }) {
            throw LoadFault(
                "\(path): \(lacking) WebSocket\(lacking == 1 ? "" : "s") in it without _webSocketMessages, so there is"
                    + " nothing to play: k6 Studio and others leave messages out; record with sluice tap --record, or"
                    + " save a HAR in a browser's developer tools")
        }
        var sockets: [Socket] = []
        for entry in entries {
            guard let messages = entry._webSocketMessages, !messages.isEmpty else { continue }
            if let number = messages.firstIndex(where: { $0.hasData && $0.bytes == nil }) {
                throw LoadFault(
                    "\(path): message \(number + 1) of WebSocket \(sockets.count + 1) is binary, and its data is no"
                        + " base64")
            }
            let began = messages.lazy.compactMap(\.time).first ?? 0
            sockets.append(socket(entry.request, messages, began))
        }
        return sockets
    }

    private static func socket(
        _ request: Archive.Request?, _ messages: [Archive.Message], _ beganAt: Double
    ) -> Socket {
        let parts = request?.url.flatMap { URLComponents(string: $0) }
        var socket = Socket(name: parts?.path ?? "socket")
        socket.path = parts.map { $0.percentEncodedPath.isEmpty ? "/" : $0.percentEncodedPath }
        socket.query = parts?.percentEncodedQuery
        for header in request?.headers ?? [] {
            guard let name = header.name, let value = header.value else { continue }
            switch name.lowercased() {
            case "sec-websocket-protocol":
                socket.subprotocols = value.split(separator: ",").map {
                    $0.trimmingCharacters(in: .whitespaces)
                }
            case "cookie", "authorization", "origin":
                socket.secrets.append(LoadHeader(name: name, value: value))
            default: break
            }
        }
        // One without a time came with the one before.
        var seconds = 0.0
        socket.messages = messages.compactMap { message in
            guard message.hasData, let bytes = message.bytes else { return nil }
            seconds = message.time.map { max(0, $0 - beganAt) } ?? seconds
            return Message(
                seconds: seconds, isSent: message.type == "send", isText: message.isText,
                bytes: bytes)
        }
        return socket
    }
}
