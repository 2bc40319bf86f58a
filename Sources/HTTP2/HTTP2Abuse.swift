// SPDX-License-Identifier: Apache-2.0

/// What a peer can do too much of: the connection then ends with GOAWAY(ENHANCE_YOUR_CALM)
/// (RFC 9113 §10.5).
public enum HTTP2Abuse: UInt8, Sendable, CaseIterable {
    /// `HTTP2Limits.headFramesMax`: HEADERS and CONTINUATION frames of one header block.
    case headFrames
    /// A header block that decodes to much more than `headBytesMax`, which is HPACK used as a bomb.
    case headBytes
    /// RST_STREAM frames (rapid reset).
    case resetsReceived
    /// Streams that had to be reset for what the peer did (MadeYouReset), malformed requests and
    /// streams over the limit among them.
    case resetsProvoked
    /// PING frames.
    case pings
    /// SETTINGS frames.
    case settings
    /// PRIORITY and PRIORITY_UPDATE frames.
    case priorities
    /// DATA frames that carry nothing and do not end their stream.
    case emptyData
    /// DATA frames of a byte, or of less than a frame on a WebSocket's stream, that do not end their stream.
    case tinyData
    /// WINDOW_UPDATE frames of less than `HTTP2Limits.smallWindowUpdateBytes`.
    case smallWindowUpdates
    /// HEADERS and DATA frames on streams that are closed, or that a GOAWAY has excluded.
    case strayFrames
    /// Frames of types that are not known, and further GOAWAY frames.
    case otherFrames
    /// The peer does not read the acknowledgements that its PING and SETTINGS frames ask for.
    case unreadAnswers

    /// What the peer did, to stand behind "The client".
    public var words: String {
        switch self {
        case .headFrames: "sent a request head in too many frames"
        case .headBytes: "sent a request head that decodes to far more bytes than are allowed"
        case .resetsReceived: "cancelled too many streams"
        case .resetsProvoked: "made the server reset too many streams"
        case .pings: "sent too many PING frames"
        case .settings: "sent too many SETTINGS frames"
        case .priorities: "sent too many PRIORITY frames"
        case .emptyData: "sent too many empty DATA frames"
        case .tinyData: "sent too many DATA frames of a few bytes"
        case .smallWindowUpdates: "sent too many small WINDOW_UPDATE frames"
        case .strayFrames: "sent too many frames on closed streams"
        case .otherFrames: "sent too many frames of other types"
        case .unreadAnswers: "does not read the acknowledgements that it asks for"
        }
    }
}
