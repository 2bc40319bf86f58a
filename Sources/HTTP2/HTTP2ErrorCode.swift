// SPDX-License-Identifier: Apache-2.0

/// The code of a RST_STREAM or GOAWAY frame (RFC 9113 §7); any number may come from a peer.
public struct HTTP2ErrorCode: RawRepresentable, Sendable, Hashable, CustomStringConvertible {
    /// The code as it stands in the frame.
    public let rawValue: UInt32

    /// The code of this number.
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    /// Nothing went wrong.
    public static let noError = HTTP2ErrorCode(rawValue: 0x0)
    /// The protocol was broken in a way that no other code names.
    public static let protocolError = HTTP2ErrorCode(rawValue: 0x1)
    /// The sender of the frame is at fault.
    public static let internalError = HTTP2ErrorCode(rawValue: 0x2)
    /// More bytes were sent than the window had room for.
    public static let flowControlError = HTTP2ErrorCode(rawValue: 0x3)
    /// SETTINGS were not acknowledged in time.
    public static let settingsTimeout = HTTP2ErrorCode(rawValue: 0x4)
    /// A frame came for a stream whose sender had ended it.
    public static let streamClosed = HTTP2ErrorCode(rawValue: 0x5)
    /// A frame has a length that its type does not allow.
    public static let frameSizeError = HTTP2ErrorCode(rawValue: 0x6)
    /// The request was not looked at, so it may be sent again.
    public static let refusedStream = HTTP2ErrorCode(rawValue: 0x7)
    /// The sender has no more use for the stream.
    public static let cancel = HTTP2ErrorCode(rawValue: 0x8)
    /// A header block could not be decoded (RFC 7541).
    public static let compressionError = HTTP2ErrorCode(rawValue: 0x9)
    /// The connection behind a CONNECT ended badly.
    public static let connectError = HTTP2ErrorCode(rawValue: 0xA)
    /// The peer does too much of something.
    public static let enhanceYourCalm = HTTP2ErrorCode(rawValue: 0xB)
    /// TLS is not good enough.
    public static let inadequateSecurity = HTTP2ErrorCode(rawValue: 0xC)
    /// HTTP/1.1 is to be used for this request.
    public static let http11Required = HTTP2ErrorCode(rawValue: 0xD)

    private static let names: [StaticString] = [
        "NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT",
        "STREAM_CLOSED", "FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR",
        "CONNECT_ERROR", "ENHANCE_YOUR_CALM", "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED",
    ]

    /// The name that RFC 9113 gives the code, or its number in hexadecimal digits.
    public var description: String {
        rawValue < UInt32(Self.names.count)
            ? "\(Self.names[Int(rawValue)])" : "0x" + String(rawValue, radix: 16)
    }
}
