// SPDX-License-Identifier: Apache-2.0

/// An input of the fuzzer, taken apart into the bytes that the code reads and the choices around them.
///
/// Choices come from the end, so that the words of a dictionary and the bytes of a seed stay where
/// they are at the start. Where an input is too short, a choice is 0.
struct FuzzInput {
    private var bytes: ArraySlice<UInt8>

    init(_ buffer: UnsafeRawBufferPointer) {
        bytes = Array(buffer)[...]
    }

    /// An input that is taken apart into this content and these choices, the first one taken first.
    static func made(_ content: some Sequence<UInt8>, choices: [UInt8]) -> [UInt8] {
        Array(content) + choices.reversed()
    }

    /// What has not been taken.
    var content: [UInt8] { Array(bytes) }

    var isEmpty: Bool { bytes.isEmpty }

    /// The last byte.
    mutating func takeChoice() -> UInt8 { bytes.popLast() ?? 0 }

    /// One of a few values, by the last byte.
    mutating func takeChoice<Value>(of values: [Value]) -> Value {
        values[Int(takeChoice()) % values.count]
    }

    /// Where to cut, by the last three bytes.
    mutating func takeCut() -> Cut {
        Cut(lengths: [Int(takeChoice()) + 1, Int(takeChoice()) + 1, Int(takeChoice()) + 1])
    }

    /// The first byte; for inputs that are a list of events.
    mutating func takeEvent() -> UInt8? { bytes.popFirst() }

    /// The first bytes, fewer where there are not so many.
    mutating func takeFirst(_ count: Int) -> [UInt8] {
        defer { bytes = bytes.dropFirst(count) }
        return Array(bytes.prefix(count))
    }
}

/// A way to cut bytes into pieces.
struct Cut {
    /// The lengths of the pieces, one after the other and then from the first again; each 1 or more.
    let lengths: [Int]

    func pieces(of bytes: [UInt8]) -> [[UInt8]] {
        var pieces: [[UInt8]] = []
        var start = 0
        while start < bytes.count {
            let end = min(bytes.count, start + lengths[pieces.count % lengths.count])
            // A piece is memory of its own, so that the address sanitizer sees a read behind it.
            pieces.append(Array(bytes[start..<end]))
            start = end
        }
        return pieces
    }
}
