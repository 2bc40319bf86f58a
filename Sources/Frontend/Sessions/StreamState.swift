// SPDX-License-Identifier: Apache-2.0
import Reactor
import Splice

/// What is a stream's own: the end that its bytes come from and go to, and the request that it carries.
///
/// A connection that speaks HTTP/1.1 has one, which begins and ends with it and lies within its
/// `ClientSession`. Requests know it as `ClientStream`.
struct StreamState: ~Copyable {
    /// Where the bytes of requests come from, and those of answers go to; a tunnel's client is it later.
    var leg: Leg
    /// The client's bytes behind what was used so far: the begin of a body, the next requests, or what
    /// belongs to a tunnel.
    var unread = UnreadBytes()
    /// The request in progress.
    var request: Token?
    /// Another request may follow.
    var isPersistent = true

    init(_ leg: consuming Leg) { self.leg = leg }
}

typealias StreamStatePointer = UnsafeMutablePointer<StreamState>

/// Bytes that were received, and that nobody has used yet.
struct UnreadBytes {
    private(set) var bytes: ArraySlice<UInt8> = []

    /// Keeps bytes behind those that are held.
    mutating func hold(_ more: UnsafeRawBufferPointer) {
        if more.isEmpty { return }
        if bytes.isEmpty { bytes = Array(more)[...] } else { bytes.append(contentsOf: more) }
    }

    /// Puts bytes that were taken back in front of those that are held.
    mutating func putBack(_ taken: UnsafeRawBufferPointer) {
        bytes = bytes.isEmpty ? Array(taken)[...] : (Array(taken) + bytes)[...]
    }

    /// Forgets the first `count` of the bytes that are held.
    mutating func drop(_ count: Int) {
        bytes = count >= bytes.count ? [] : bytes.dropFirst(count)
    }
}
