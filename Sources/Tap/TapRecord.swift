// SPDX-License-Identifier: Apache-2.0
public import Foundation

/// One line of what a tap tells and records, as JSON: docs/tap.md has all keys.
///
/// The admin socket sends the payload as it stood in the frame, without mask; what `sluice tap` prints and records has
/// it inflated, and text as text (`TapDecoder`).
public struct TapRecord: Codable, Sendable, Equatable {
    /// What a line is about.
    public enum Kind: String, Codable, Sendable {
        /// The tap itself: the first line.
        case tap
        /// A relay that is listened to from here on.
        case relay
        /// A frame has passed.
        case frame
        /// A relay has ended, or goes on elsewhere.
        case closed
        /// Something was lost, since the tap is too slow.
        case lost
        /// The tap has ended, and why: the last line.
        case end
    }

    /// The reason of a relay that has not ended, but goes on in another reactor or process.
    public static let movedReason = "moved"

    /// The number of this form; a form that readers of this one can't read has another one.
    public static let currentVersion = 1

    /// What the line is about; it decides which of the other keys are there.
    public var type: Kind
    /// Since the tap began, by a clock that nobody sets.
    public var atMicroseconds: UInt64

    // Of the tap.
    /// The number of the form: `currentVersion`.
    public var version: Int?
    /// When the tap began, in milliseconds since 1970.
    public var startedMilliseconds: UInt64?
    /// Whether payloads are told (`admin.tap`).
    public var payloads: Bool?
    /// Bytes of a frame's payload that are told.
    public var payloadBytesMax: Int?
    /// What is never told of a request.
    public var redacted: [String]?

    // Of a relay, and in part of all that belongs to one.
    /// The name of the relay, as `sluice status --relays` and the access log have it.
    public var relay: String?
    /// Whether it was open before the tap began.
    public var live: Bool?
    /// How old it was then, if it is live.
    public var ageMilliseconds: UInt64?
    /// The client's address and port.
    public var client: String?
    /// `wss` or `ws`, as the client speaks.
    public var scheme: String?
    /// The host that was asked for, without port.
    public var host: String?
    /// The path that was asked for, without query.
    public var path: String?
    /// The route's pattern.
    public var route: String?
    /// Where it leads.
    public var endpoint: String?
    /// `h2` or `http/1.1`.
    public var `protocol`: String?
    /// Whether it is known what was agreed in the handshake.
    public var handshakeKnown: Bool?
    /// The subprotocol that was agreed on.
    public var subprotocol: String?
    /// The extensions that were agreed on, with their parameters.
    public var extensions: String?

    // Of a frame.
    /// `up` to the upstream, `down` to the client.
    public var direction: String?
    /// `client`, `upstream` or `sluice`.
    public var from: String?
    /// The same of whom it goes to.
    public var to: String?
    /// `text`, `binary`, `continuation`, `close`, `ping` or `pong`.
    public var opcode: String?
    /// Whether it is the last frame of its message.
    public var final: Bool?
    /// The RSV bits, 1 to 7, RSV1 being worth 4; nil for none.
    public var reserved: Int?
    /// Whether it was masked.
    public var masked: Bool?
    /// The length of the payload in the frame.
    public var bytes: UInt64?
    /// The payload, where it is text in UTF-8; of a Close its reason.
    public var text: String?
    /// The payload in base64, where it is not text.
    public var payload: String?
    /// Whether the payload here is not all of it.
    public var truncated: Bool?
    /// Whether the relay ended before the frame's last byte.
    public var cut: Bool?
    /// Whether the frame belongs to a compressed message (RFC 7692).
    public var compressed: Bool?
    /// The length of the payload that was inflated; nil where it was not.
    public var inflatedBytes: UInt64?
    /// Why a compressed payload is here as it stood in the frame.
    public var notInflated: String?
    /// Whether a compressed frame of this direction was lost before this one.
    public var gap: Bool?
    /// Whether the frame is told only so that later ones can be inflated.
    public var context: Bool?

    // Of the end of a relay, and the code of a Close.
    /// The code of a Close, or with which the relay ended.
    public var code: Int?
    /// `client`, `upstream` or `sluice`.
    public var initiator: String?
    /// Why the relay, or the tap, has ended.
    public var reason: String?
    /// What was against the rules.
    public var detail: String?
    /// Messages from the client.
    public var upMessages: UInt64?
    /// Bytes of payload from the client.
    public var upPayloadBytes: UInt64?
    /// Messages from the upstream.
    public var downMessages: UInt64?
    /// Bytes of payload from the upstream.
    public var downPayloadBytes: UInt64?

    // Of what was lost since the line before of this type.
    /// Frames that were lost.
    public var frames: UInt64?
    /// Begins and ends of relays that were lost.
    public var relays: UInt64?

    /// A line about this, so long after the tap began.
    public init(_ type: Kind, atMicroseconds: UInt64) {
        self.type = type
        self.atMicroseconds = atMicroseconds
    }

    /// The line with its end.
    public var line: Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        // Nothing in it can't be encoded.
        return ((try? encoder.encode(self)) ?? Data("{}".utf8)) + Data("\n".utf8)
    }

    /// Reads a line; nil for what is none.
    public init?(line: Data) {
        guard let read = try? JSONDecoder().decode(TapRecord.self, from: line) else { return nil }
        self = read
    }

    /// The bytes of `payload`; empty where there is none.
    public var payloadData: Data { payload.flatMap { Data(base64Encoded: $0) } ?? Data() }

    /// What opcodes are called (RFC 6455 §5.2), by their numbers.
    public static let opcodeNames: [UInt8: String] = [
        0: "continuation", 1: "text", 2: "binary", 8: "close", 9: "ping", 10: "pong",
    ]
}
