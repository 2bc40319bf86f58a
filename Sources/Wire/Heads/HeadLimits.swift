// SPDX-License-Identifier: Apache-2.0

/// How much a peer may send as the head of a request or response.
public struct HeadLimits: Sendable, Equatable {
    /// One of the limits.
    public enum Kind: Sendable {
        /// `bytesMax`.
        case bytes
        /// `fieldsMax`.
        case fields
        /// `targetBytesMax`.
        case targetBytes
    }

    /// The most bytes of a whole head, its last empty line included.
    public var bytesMax: Int
    /// The most field lines.
    public var fieldsMax: Int
    /// The most bytes of a request's target.
    public var targetBytesMax: Int

    /// Limits that hold what browsers and their cookies send, and little more.
    public init(bytesMax: Int = 16_384, fieldsMax: Int = 100, targetBytesMax: Int = 8_192) {
        self.bytesMax = bytesMax
        self.fieldsMax = fieldsMax
        self.targetBytesMax = targetBytesMax
    }
}
