// SPDX-License-Identifier: Apache-2.0

/// A property of Sluice's code that must hold whatever bytes it is given.
///
/// The fuzzer looks for bytes that break it; tests check it for the seeds and for every input that
/// broke it before.
public struct FuzzTarget: Sendable {
    /// What the command line and the folder of kept inputs call it: words in lower case with dashes.
    public let name: String
    /// The most bytes of one input, few enough that the fuzzer gets through many inputs.
    public let inputBytesMax: Int
    /// Words of the format, which the fuzzer puts into its inputs.
    public let words: [[UInt8]]
    /// Inputs that lead deep into the code from the start.
    public let seeds: [[UInt8]]

    private let check: @Sendable (UnsafeRawBufferPointer) throws(BrokenProperty) -> Void

    /// A target; `check` depends on nothing but the bytes, and throws where the property is broken.
    public init(
        name: String, inputBytesMax: Int, words: [[UInt8]], seeds: [[UInt8]],
        check: @escaping @Sendable (UnsafeRawBufferPointer) throws(BrokenProperty) -> Void
    ) {
        self.name = name
        self.inputBytesMax = inputBytesMax
        self.words = words
        self.seeds = seeds
        self.check = check
    }

    /// Checks the property for one input.
    public func run(_ bytes: UnsafeRawBufferPointer) throws(BrokenProperty) {
        try check(bytes)
    }

    /// Checks the property for one input.
    public func run(_ bytes: [UInt8]) throws(BrokenProperty) {
        let result = bytes.withUnsafeBytes { buffer in
            Result { () throws(BrokenProperty) in try check(buffer) }
        }
        try result.get()
    }

    /// The words in the form of libFuzzer's dictionaries: one in quotes per line, each byte that is
    /// not plain ASCII as `\xHH`.
    public var dictionary: String {
        words.map { word in
            let escaped = word.map { byte in
                let isPlain = 0x20..<0x7F ~= byte && byte != 0x22 && byte != 0x5C
                let digits = String(byte, radix: 16, uppercase: true)
                return isPlain
                    ? String(UnicodeScalar(byte)) : "\\x" + (byte < 16 ? "0" : "") + digits
            }
            return "\"\(escaped.joined())\"\n"
        }.joined()
    }
}

/// That a property does not hold: which one, and where it is stated.
public struct BrokenProperty: Error, Sendable, CustomStringConvertible {
    /// The property, and what was found instead.
    public let description: String

    /// A broken property in these words.
    public init(_ description: String) {
        self.description = description
    }
}

/// States a property; throws where it does not hold.
func require(
    _ isTrue: Bool, _ sentence: @autoclosure () -> String, line: Int = #line
) throws(BrokenProperty) {
    if !isTrue { throw BrokenProperty("\(sentence()) (line \(line))") }
}

/// States that two readings are the same; throws where they are not.
func requireEqual<Value: Equatable>(
    _ found: Value, _ expected: Value, _ sentence: @autoclosure () -> String, line: Int = #line
) throws(BrokenProperty) {
    if found != expected {
        throw BrokenProperty(
            "\(sentence()) (line \(line)), found:\n\(found)\nexpected:\n\(expected)")
    }
}
