// SPDX-License-Identifier: Apache-2.0

/// How much a peer may send as the head of a request or response.
public struct HeadLimits: Sendable, Equatable {
    /// One of the limits.
    public enum Kind: Sendable {
        /// The head is longer than `bytesMax`.
        case bytes
        /// The head has more fields than `fieldsMax`.
        case fields
        /// The target is longer than `targetBytesMax`.
        case targetBytes
    }

    /// The most bytes of a whole head, its last empty line included.
    public var bytesMax: Int
    /// The most field lines.
    public var fieldsMax: Int
    /// The most bytes of a request's target.
    public var targetBytesMax: Int

    /// Limits of a whole head in bytes, of its field lines, and of a request's target in bytes.
    public init(bytesMax: Int, fieldsMax: Int, targetBytesMax: Int) {
        self.bytesMax = bytesMax
        self.fieldsMax = fieldsMax
        self.targetBytesMax = targetBytesMax
    }

    /// The limits of programs that no setting concerns: the echo app, the load generator, the doctor,
    /// the checks of health and the admin socket.
    public static let builtIn = HeadLimits(
        bytesMax: 65_536, fieldsMax: 256, targetBytesMax: 32_768)

    /// The same with so many bytes of a whole head.
    public static func builtIn(bytesMax: Int) -> HeadLimits {
        var limits = builtIn
        limits.bytesMax = bytesMax
        return limits
    }
}
