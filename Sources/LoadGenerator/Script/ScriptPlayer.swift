// SPDX-License-Identifier: Apache-2.0
import Config
import Foundation
import Reactor

/// A message that has come to a scripted client.
struct ScriptMessage {
    let bytes: [UInt8]
    let isText: Bool
    /// When it was whole, in nanoseconds.
    var arrivedAt: UInt64 = 0

    /// As much of it as an error can show.
    var shown: String {
        let text = isText ? String(decoding: bytes.prefix(200), as: UTF8.self) : "binary"
        return bytes.count > 200 || !isText ? "\(text)… (\(bytes.count) bytes)" : text
    }
}

/// One client that goes through its scenario: where it is, and what it knows.
final class ScriptPlayer {
    /// Messages that wait to be expected, and their bytes, at most; older ones are dropped.
    private static let inboxMax = 1024
    private static let inboxBytesMax = 16 << 20
    private static let messageBytesMax = 16 << 20

    let scenario: LoadProgram.Scenario
    let iteration: Int
    private let program: LoadProgram
    private let number: UInt64
    private(set) var values: [String: String] = [:]
    private(set) var position = 0
    /// How often the loops in which it is are still to be done, the innermost last.
    private var loops: [Int] = []
    private var inbox: [ScriptMessage] = []
    private var inboxBytes = 0
    /// How many have been dropped since nothing expected them in time.
    private(set) var droppedCount = 0
    private var last: ScriptMessage?
    /// When the message that was found last was whole.
    private(set) var foundAt: UInt64 = 0
    /// The message that is coming.
    var incoming: [UInt8] = []
    var incomingIsText = false
    /// Until when it waits, in nanoseconds; 0 where it does not.
    var waitsUntil: UInt64 = 0
    /// Whether it is in the queue of those that go on within milliseconds.
    var isWaking = false
    var openedAt: UInt64 = 0
    var sentAt: UInt64 = 0
    /// When the message that is sent next should leave, where the script has a clock; 0 for at once.
    var intendedAt: UInt64 = 0
    /// How late this program was with the message that was sent last; nil where that was not measured.
    var sendLag: UInt64?
    /// Since when nothing but this program has kept it from going on.
    var freeAt: UInt64 = 0
    /// Whether it waits for its socket to take what was sent.
    var isHeldUp = false
    /// How its WebSocket is asked for.
    var handshake: OpeningHandshake
    /// Whether it has gone through all of it.
    var isDone = false

    init(
        _ program: LoadProgram, number: UInt64, iteration: Int, handshake: OpeningHandshake,
        random: inout SystemRandomNumberGenerator
    ) {
        self.program = program
        self.number = number
        self.iteration = iteration
        self.handshake = handshake
        scenario = program.scenarios[program.scenario(of: number)]
        for variable in program.variables {
            values[variable.name] =
                switch variable.source {
                case .text(let text): text
                case .counter(let first): "\(UInt64(first) &+ number)"
                case .random(let range): "\(Int.random(in: range, using: &random))"
                }
        }
        if let table = program.table {
            for (name, value) in zip(table.columns, table.row(Int(truncatingIfNeeded: number))) {
                values[name] = value
            }
        }
    }

    /// A text with this client's values in it.
    func filled(_ template: LoadTemplate) -> String {
        template.filled { name in
            if let value = values[name] { return value }
            return switch name {
            case "connection": "\(number)"
            case "iteration": "\(iteration)"
            case "time": "\(Clock.wallMilliseconds())"
            default: ""
            }
        }
    }

    /// What is to be done now; nil at the end.
    ///
    /// Loops are gone through here.
    func operation() -> LoadProgram.Operation? {
        while position < scenario.operations.count {
            let operation = scenario.operations[position].operation
            switch operation {
            case .loop(let times, _):
                loops.append(times)
                position += 1
            case .again(let start):
                let left = (loops.popLast() ?? 1) - 1
                if left > 0 { loops.append(left) }
                position = left > 0 ? start + 1 : position + 1
            case .send, .sendBytes, .expect, .wait, .until, .close: return operation
            }
        }
        return nil
    }

    /// Goes on to the next.
    func advance() {
        position += 1
        waitsUntil = 0
    }

    /// Where the present step stands, for errors.
    var place: String {
        let place =
            scenario.operations.indices.contains(position)
            ? "\(scenario.operations[position].place)" : "its end"
        return "scenario '\(scenario.name)', \(place)"
    }

    // MARK: Messages

    /// Takes bytes of the message that is coming; false where it is too long.
    func collect(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
        guard incoming.count + bytes.count <= Self.messageBytesMax else { return false }
        incoming.append(contentsOf: bytes)
        return true
    }

    /// The message is whole.
    func endMessage(at now: UInt64) {
        let message = ScriptMessage(bytes: incoming, isText: incomingIsText, arrivedAt: now)
        incoming = []
        inbox.append(message)
        inboxBytes += message.bytes.count
        last = message
        // The one that has just come stays.
        while inbox.count > 1, inbox.count > Self.inboxMax || inboxBytes > Self.inboxBytesMax {
            inboxBytes -= inbox.removeFirst().bytes.count
            droppedCount += 1
        }
    }

    /// Whether it has begun to wait for a message.
    var isAwaiting: Bool {
        guard waitsUntil > 0, scenario.operations.indices.contains(position),
            case .expect = scenario.operations[position].operation
        else { return false }
        return true
    }

    /// Whether it has done all, and waits for as long as its recording went on.
    var isLingering: Bool {
        guard position == scenario.operations.count - 1,
            case .until = scenario.operations[position].operation
        else { return false }
        return true
    }

    /// What came of looking for a message.
    enum Finding {
        case found
        case missing
        /// The next message is another one.
        case wrong
        /// The message is too long for the pattern.
        case tooLong
    }

    /// Looks for a message that is as it should be; those before it are passed over.
    func find(
        _ check: LoadCheck, _ pattern: LinearPattern?
    ) -> Finding {
        while !inbox.isEmpty {
            let message = inbox.removeFirst()
            inboxBytes -= message.bytes.count
            switch captures(message, check, pattern) {
            case .fits(let captures):
                for (name, value) in zip(check.captures, captures) { values[name] = value }
                foundAt = message.arrivedAt
                return .found
            case .tooLong: return .tooLong
            case .differs: if check.isNext { return .wrong }
            }
        }
        return .missing
    }

    private enum Comparison {
        /// With what is captured of it.
        case fits([String])
        case differs, tooLong
    }

    /// Whether a message is as it should be.
    private func captures(
        _ message: ScriptMessage, _ check: LoadCheck, _ pattern: LinearPattern?
    ) -> Comparison {
        if let isText = check.isText, isText != message.isText { return .differs }
        if let bytes = check.bytes { return message.bytes == bytes ? .fits([]) : .differs }
        let text = String(decoding: message.bytes, as: UTF8.self)
        if let whole = check.text, text != filled(LoadTemplate(whole)) { return .differs }
        if let part = check.contains, !text.contains(filled(LoadTemplate(part))) { return .differs }
        var captures = [text]
        if let path = check.json {
            guard let value = JSONValue(message: message.bytes)?.value(at: path) else {
                return .differs
            }
            if let wanted = check.equals, !value.isSame(as: filled(LoadTemplate(wanted))) {
                return .differs
            }
            captures = [value.text ?? ""]
        }
        if check.matches != nil, let pattern {
            let scalars = Array(text.unicodeScalars)
            switch pattern.search(scalars) {
            case .none: return .differs
            case .gaveUp: return .tooLong
            case .found(let ranges):
                let taken = ranges.map { range in
                    range.map { String(String.UnicodeScalarView(scalars[$0])) } ?? ""
                }
                captures = taken.count == 1 ? taken : Array(taken.dropFirst())
            }
        }
        return .fits(captures)
    }

    /// What is expected, for errors.
    func wish(_ check: LoadCheck) -> String {
        var parts: [String] = []
        if let text = check.text { parts.append("that is '\(filled(LoadTemplate(text)))'") }
        if let part = check.contains { parts.append("with '\(filled(LoadTemplate(part)))' in it") }
        if let pattern = check.matches { parts.append("that fits '\(pattern)'") }
        if let path = check.json {
            let value = check.equals.map { " '\(filled(LoadTemplate($0)))'" } ?? ""
            parts.append("with \(path)\(value) in its JSON")
        }
        if let bytes = check.bytes {
            let message = ScriptMessage(bytes: bytes, isText: check.isText ?? true)
            parts.append("that is '\(message.shown)'")
        }
        let kind = check.isText.map { $0 ? "a text message" : "a binary message" } ?? "a message"
        return parts.isEmpty ? kind : "\(kind) " + parts.joined(separator: " and ")
    }

    /// The last message that has come, for errors.
    var lastShown: String {
        guard let last else { return "no message has come" }
        let dropped = droppedCount > 0 ? ", and \(droppedCount) were dropped unread" : ""
        return "the last one was: \(last.shown)" + dropped
    }
}
