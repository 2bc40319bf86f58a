// SPDX-License-Identifier: Apache-2.0

/// What the messages of a load look like.
public struct LoadMessage: Sendable, Equatable {
    /// Bytes of payload, from the smallest to the largest message; each size is as likely.
    public var sizes: ClosedRange<Int>
    /// Whether they are text messages; else binary ones (RFC 6455 §5.6).
    public var isText: Bool
    /// Whether noise repeats itself, so that it can be compressed to about a fifth.
    public var isCompressible = false
    /// The whole payload of each message; nil for noise with a marker that tells every message from every other.
    public private(set) var content: [UInt8]?

    /// Messages of noise.
    ///
    /// - Parameters:
    ///   - sizes: bytes of payload.
    ///   - isText: whether they are text.
    public init(sizes: ClosedRange<Int>, isText: Bool = false) {
        self.sizes = sizes
        self.isText = isText
    }

    /// Messages that all have this payload.
    public init(content: [UInt8], isText: Bool) {
        self.content = content
        self.isText = isText
        sizes = content.count...content.count
    }
}
