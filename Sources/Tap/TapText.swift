// SPDX-License-Identifier: Apache-2.0
public import Foundation

/// Lines of a tap as people read them.
public enum TapText {
    /// A line about what has happened, without its end.
    public static func line(_ record: TapRecord) -> String {
        switch record.type {
        case .tap: return ""
        case .relay: return start(record) + relay(record)
        case .frame: return start(record) + frame(record)
        case .closed: return start(record) + closed(record)
        case .lost: return seconds(record) + "  " + lost(record)
        case .end: return seconds(record) + "  " + (record.reason ?? "")
        }
    }

    private static func seconds(_ record: TapRecord) -> String {
        let micro = String(record.atMicroseconds % 1_000_000)
        return "\(record.atMicroseconds / 1_000_000)."
            + String(repeating: "0", count: 6 - micro.count) + micro
    }

    private static func start(_ record: TapRecord) -> String {
        "\(seconds(record))  \(record.relay ?? "-")  "
    }

    private static func relay(_ record: TapRecord) -> String {
        var parts = [
            "\(record.live == true ? "live" : "opened")",
            "\(record.scheme ?? "ws")://\(record.host ?? "")\(record.path ?? "")",
            "of \(record.client ?? "-") by \(record.protocol ?? "-"), to \(record.endpoint ?? "-")",
        ]
        if let subprotocol = record.subprotocol { parts.append("subprotocol \(subprotocol)") }
        if let extensions = record.extensions { parts.append("extensions \(extensions)") }
        if record.handshakeKnown == false {
            parts.append("(its subprotocol and extensions are not known)")
        }
        return escaped(parts.joined(separator: "  "))
    }

    private static func frame(_ record: TapRecord) -> String {
        var text = "\(record.from ?? "-") > \(record.to ?? "-")  \(record.opcode ?? "-")"
        if record.final == false { text += " (more follows)" }
        text += "  \(bytes(record.bytes ?? 0))"
        if let reserved = record.reserved, record.compressed != true { text += "  RSV \(reserved)" }
        if record.compressed == true {
            text += record.inflatedBytes.map { "  inflated to \(bytes($0))" } ?? "  compressed"
        }
        if let code = record.code { text += "  \(code)" }
        if let words = record.text { text += "  \(escaped(words))" }
        if record.payload != nil { text += "  \(hex(record.payloadData))" }
        if record.truncated == true { text += " …" }
        if record.cut == true { text += "  (the relay ended before its last byte)" }
        if let why = record.notInflated { text += "  (not inflated: \(why))" }
        return text
    }

    private static func closed(_ record: TapRecord) -> String {
        let isMoved = record.reason == TapRecord.movedReason
        var text =
            isMoved
            ? "moved  \(record.detail ?? "")"
            : "closed  by \(record.initiator ?? "nobody"): \(record.reason ?? "-")"
        if let code = record.code { text += " \(code)" }
        text +=
            "  \(record.upMessages ?? 0) messages, \(bytes(record.upPayloadBytes ?? 0)) up;"
            + " \(record.downMessages ?? 0) messages, \(bytes(record.downPayloadBytes ?? 0)) down"
        if let detail = record.detail, !isMoved { text += "  \(escaped(detail))" }
        return text
    }

    private static func lost(_ record: TapRecord) -> String {
        let frames = record.frames ?? 0
        let relays = record.relays ?? 0
        let what = [
            frames > 0 ? "\(frames) frame\(frames == 1 ? "" : "s")" : nil,
            relays > 0 ? "\(relays) begin\(relays == 1 ? "" : "s") or ends of relays" : nil,
        ].compactMap(\.self).joined(separator: " and ")
        return "lost \(what): this tap is too slow"
    }

    private static func bytes(_ count: UInt64) -> String { "\(count) B" }

    private static func hex(_ data: Data) -> String {
        let digits = Array("0123456789abcdef".utf8)
        var text: [UInt8] = []
        text.reserveCapacity(data.count * 3)
        for byte in data {
            if !text.isEmpty { text.append(UInt8(ascii: " ")) }
            text.append(digits[Int(byte >> 4)])
            text.append(digits[Int(byte & 15)])
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// Lines of JSON without the control characters that JSON lets stand (U+007F to U+009F), each as its escape: some
    /// of them steer a terminal.
    public static func harmless(_ json: Data) -> [UInt8] {
        var text: [UInt8] = []
        text.reserveCapacity(json.count)
        var mayBegin = false
        for byte in json {
            // In UTF-8 U+0080 to U+009F are C2 and a byte of the same number.
            if mayBegin && (0x80...0x9F).contains(byte) || byte == 0x7F {
                if mayBegin && byte != 0x7F { text.removeLast() }
                let digits = String(byte, radix: 16)
                text += "\\u00\(digits)".utf8
            } else {
                text.append(byte)
            }
            mayBegin = byte == 0xC2
        }
        return text
    }

    /// A text on one line: what steers a terminal, and what ends a line, as escapes.
    static func escaped(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            case "\\": result += "\\\\"
            default:
                let category = scalar.properties.generalCategory
                let isHarmful =
                    category == .control || category == .lineSeparator
                    || category == .paragraphSeparator || category == .format
                if isHarmful {
                    result += "\\u{\(String(scalar.value, radix: 16))}"
                } else {
                    result.unicodeScalars.append(scalar)
                }
            }
        }
        return result
    }
}
