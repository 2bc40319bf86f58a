// SPDX-License-Identifier: Apache-2.0

/// Why a head is refused: the status to answer with and a plain sentence.
///
/// Of an upstream's head the status is always 502, because the fault is not the client's.
public struct HeadFault: Error, Sendable, Equatable {
    /// The HTTP status of the answer: 400, 414, 417, 431, 501, 505, or 502 for an upstream's head.
    public let status: Int
    /// What is wrong, in one sentence.
    public let sentence: String
    /// The limit that was met, if it is one; who knows where it is set can say so.
    public let limit: HeadLimits.Kind?

    /// A fault with its answer.
    public init(status: Int, sentence: String, limit: HeadLimits.Kind? = nil) {
        self.status = status
        self.sentence = sentence
        self.limit = limit
    }

    /// A fault answered with 400.
    static func bad(_ sentence: String) -> HeadFault {
        HeadFault(status: 400, sentence: sentence)
    }
}
