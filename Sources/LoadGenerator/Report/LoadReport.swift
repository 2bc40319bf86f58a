// SPDX-License-Identifier: Apache-2.0

/// What a load has shown: plain values, ready to be encoded.
///
/// Counts and times are of the measured part, without warm-up. A megabyte is 10⁶ bytes of payload
/// that came back, counted once.
public struct LoadReport: Sendable, Codable, Equatable {
    /// `echo`, `rate`, `stream`, `connect`, `idle` or `cycle`.
    public var mode = ""
    /// Where the load went.
    public var url = ""
    /// How many connections were wanted.
    public var connections = 0
    /// How many WebSockets on each of them, by HTTP/2; nil by HTTP/1.1.
    public var streams: Int?
    /// How many WebSockets were open at once (not counted for `connect` and `cycle`).
    public var opened = 0
    /// Payload of each message.
    public var messageBytes = 0
    /// How long was measured.
    public var seconds = 0.0
    /// Messages that came back.
    public var messages: UInt64 = 0
    /// Messages that came back per second of the measured time.
    public var messagesPerSecond = 0.0
    /// Payload that came back, in 10⁶ bytes.
    public var megabytes = 0.0
    /// The same per second.
    public var megabytesPerSecond = 0.0
    /// Half of the messages (or cycles of `connect`) took no longer.
    public var p50Microseconds = 0.0
    /// Nine of ten took no longer.
    public var p90Microseconds = 0.0
    /// All but one of a hundred took no longer.
    public var p99Microseconds = 0.0
    /// All but one of a thousand took no longer.
    public var p999Microseconds = 0.0
    /// The longest time that a message (or cycle of `connect`) took.
    public var maxMicroseconds = 0.0
    /// Cycles of `connect` and `cycle`; of other modes the WebSockets opened before measuring.
    public var handshakes: UInt64 = 0
    /// Cycles of `connect` and `cycle` per second of the measured time.
    public var handshakesPerSecond = 0.0
    /// How many handshakes took up an earlier TLS session.
    public var resumed: UInt64 = 0
    /// Connections that failed, messages that came back wrong or not at all.
    public var errors: UInt64 = 0
    /// The first of these.
    public var firstError: String?
    /// What TLS agreed on; nil without TLS.
    public var tlsVersion: String?
    /// The cipher suite; nil without TLS.
    public var cipher: String?

    // What the watched processes used during the measured part, together; nil without any.

    /// User and system time.
    public var cpuSeconds: Double?
    /// CPU time over the measured time: 1 is one core in full.
    public var cpuShare: Double?
    /// CPU time per message that came back.
    public var cpuMicrosecondsPerMessage: Double?
    /// CPU time per 10⁶ bytes of payload that came back.
    public var cpuMicrosecondsPerMegabyte: Double?
    /// CPU time per cycle of `connect` and `cycle`, or per WebSocket that `idle` opened.
    public var cpuMicrosecondsPerConnection: Double?
    /// Resident memory before the first connection (VmRSS, added up).
    public var residentKilobytesBefore: UInt64?
    /// Resident memory at the end of the measured part, with the connections open.
    public var residentKilobytes: UInt64?
    /// The growth for each WebSocket open.
    public var residentBytesPerConnection: Double?

    /// A report of no messages and no errors.
    public init() {}
}
