// SPDX-License-Identifier: Apache-2.0
import Foundation

/// Makes lines for people and files of those that the admin socket sends: payloads inflated, text as text.
public struct TapDecoder {
    /// Directions whose windows are kept; each takes some 40 KiB.
    static let windowsMax = 2_048

    private struct Key: Hashable {
        let relay: String
        let direction: String
    }

    /// One direction of a relay.
    private struct Course {
        var inflater: Inflater?
        /// The opcode of the message in progress; nil where its begin was not told.
        var message: String?
        /// Why the compressed message in progress can't be inflated; nil where it can.
        var fault: String?
        /// Why the window may not have what messages refer to; nil where it has all.
        var unknown: String?
    }

    private static let before = "it refers to messages from before this tap began"
    private static let behindLoss = "it refers to messages that this tap has lost"
    private static let behindLong = "it refers to a frame that was longer than a tap tells"
    private static let behindBroken = "it refers to a message that could not be inflated"

    private let payloadBytesMax: Int
    private var courses: [Key: Course] = [:]

    /// A decoder that keeps so many bytes of each payload.
    public init(payloadBytesMax: Int) { self.payloadBytesMax = payloadBytesMax }

    /// The line as it is shown and recorded; nil for one that is not.
    public mutating func decode(_ record: TapRecord) -> TapRecord? {
        switch record.type {
        case .frame: return frame(record)
        case .relay:
            let unknown = record.live == true ? Self.before : nil
            for direction in ["up", "down"] {
                guard let relay = record.relay else { continue }
                courses[Key(relay: relay, direction: direction)] = Course(unknown: unknown)
            }
        case .closed:
            for direction in ["up", "down"] {
                guard let relay = record.relay else { continue }
                courses[Key(relay: relay, direction: direction)] = nil
            }
        case .tap, .lost, .end: break
        }
        return record
    }

    private mutating func frame(_ record: TapRecord) -> TapRecord? {
        guard let relay = record.relay, let direction = record.direction,
            let opcode = record.opcode
        else { return nil }
        let key = Key(relay: relay, direction: direction)
        let isData = ["text", "binary", "continuation"].contains(opcode)
        // A relay whose begin was lost is one of which nothing before is known.
        var course = courses[key] ?? Course(unknown: Self.behindLoss)
        if isData && opcode != "continuation" { course.message = opcode }
        var shown = record
        if record.compressed == true, isData {
            inflate(&shown, &course)
        } else if record.payload != nil {
            let isText = opcode == "text" || opcode == "continuation" && course.message == "text"
            Self.fill(
                &shown, Array(record.payloadData.prefix(payloadBytesMax)),
                isText: isText, isClose: opcode == "close")
            if record.payloadData.count > payloadBytesMax { shown.truncated = true }
        }
        if isData && record.final == true { course.message = nil }
        courses[key] = course
        shown.gap = nil
        shown.context = nil
        return record.context == true ? nil : shown
    }

    private func inflate(_ shown: inout TapRecord, _ course: inout Course) {
        // Without payloads there is nothing to inflate.
        guard shown.payload != nil || shown.bytes == 0 else { return }
        let isFirst = shown.opcode != "continuation"
        if shown.gap == true {
            course.inflater?.reset()
            course.unknown = Self.behindLoss
            if !isFirst { course.fault = Self.behindLoss }
        }
        if isFirst { course.fault = nil }
        if !isFirst && course.message == nil && course.fault == nil {
            course.fault = "its message began before this tap did"
        }
        let bytes = Array(shown.payloadData)
        // Behind the bytes of a frame that are missing stands no end of the message.
        let isWhole = UInt64(bytes.count) >= shown.bytes ?? 0
        if course.fault == nil {
            let inflater = course.inflater ?? makeInflater(&course)
            if let inflater {
                do {
                    let made = try inflater.inflate(
                        bytes, isFinal: shown.final == true && isWhole, keeping: payloadBytesMax)
                    shown.inflatedBytes = made.count
                    Self.fill(
                        &shown, made.bytes, isText: course.message == "text", isClose: false)
                    shown.truncated = made.count > made.bytes.count ? true : nil
                } catch .tooLong {
                    course.fault = "it becomes more than \(Inflater.bytesMax >> 20) MiB"
                    course.unknown = Self.behindLong
                } catch {
                    course.fault = course.unknown ?? "it is no deflate data"
                    course.unknown = course.unknown ?? Self.behindBroken
                }
            }
        }
        if let fault = course.fault {
            shown.notInflated = fault
            shown.payload = Data(bytes.prefix(payloadBytesMax)).base64EncodedString()
            shown.truncated = (shown.bytes ?? 0) > UInt64(payloadBytesMax) ? true : nil
        }
        if !isWhole {
            // The rest of it is not known, so neither is what comes of it.
            course.inflater?.reset()
            course.unknown = Self.behindLong
            course.fault = course.fault ?? Self.behindLong
            shown.truncated = true
        }
    }

    private func makeInflater(_ course: inout Course) -> Inflater? {
        guard courses.values.lazy.filter({ $0.inflater != nil }).count < Self.windowsMax else {
            course.fault = "more relays are listened to than this tap has memory for"
            return nil
        }
        let made = Inflater()
        course.inflater = made
        return made
    }

    private static func fill(
        _ shown: inout TapRecord, _ bytes: [UInt8], isText: Bool, isClose: Bool
    ) {
        shown.payload = nil
        if isClose {
            // The code is there already (RFC 6455 §5.5.1).
            if bytes.count > 2 { shown.text = String(decoding: bytes[2...], as: UTF8.self) }
            return
        }
        if isText, let text = String(validating: bytes, as: UTF8.self) {
            shown.text = text
        } else {
            shown.payload = Data(bytes).base64EncodedString()
        }
    }
}
