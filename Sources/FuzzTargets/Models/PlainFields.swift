// SPDX-License-Identifier: Apache-2.0
import Wire

/// The lines of a head over all its bytes at once and without any haste (RFC 9112 §5): what the
/// parsers must agree with.
struct PlainFields {
    enum End: Equatable {
        /// More bytes are needed.
        case open
        /// A line is not lawful, or there is too much.
        case broken
        /// The head takes so many bytes.
        case done(Int)
    }

    private(set) var end = End.open
    /// The first line without its CRLF, once it is whole; nil where none was asked for.
    private(set) var firstLine: [UInt8]?
    /// Names and values.
    private(set) var fields: [(name: [UInt8], value: [UInt8])] = []

    /// - Parameters:
    ///   - bytes: the head, and what stands behind it.
    ///   - limits: how much it may be.
    ///   - hasFirstLine: whether a line stands in front of the fields.
    ///   - isAnswer: whether it is the head of an answer, or its trailers.
    init(_ bytes: [UInt8], _ limits: HeadLimits, hasFirstLine: Bool, isAnswer: Bool) {
        let window = bytes.prefix(limits.bytesMax)
        var position = 0
        while let lineEnd = window[position...].firstIndex(of: 10) {
            let line = window[position..<lineEnd]
            position = lineEnd + 1
            guard line.last == 13 else {
                end = .broken
                return
            }
            let text = line.dropLast()
            if hasFirstLine && firstLine == nil {
                firstLine = Array(text)
            } else if text.isEmpty {
                end = .done(position)
                return
            } else if fields.count < limits.fieldsMax, let field = Self.field(text, isAnswer) {
                fields.append(field)
            } else {
                end = .broken
                return
            }
        }
        if bytes.count > limits.bytesMax { end = .broken }
    }

    /// The values of all fields of this name, given in lower case.
    func values(_ name: String) -> [[UInt8]] {
        fields.filter { String(decoding: $0.name, as: UTF8.self).lowercased() == name }
            .map(\.value)
    }

    private static func field(
        _ line: ArraySlice<UInt8>, _ isAnswer: Bool
    ) -> (name: [UInt8], value: [UInt8])? {
        guard let colon = line.firstIndex(of: 58) else { return nil }
        var name = line[..<colon]
        // A proxy removes it from an answer, and refuses a request with it (RFC 9112 §5.1).
        while isAnswer, let last = name.last, last == 32 || last == 9 { name.removeLast() }
        var value = line[(colon + 1)...]
        while let first = value.first, first == 32 || first == 9 { value.removeFirst() }
        while let last = value.last, last == 32 || last == 9 { value.removeLast() }
        guard isToken(name), isValue(value, isAnswer) else { return nil }
        return (Array(name), Array(value))
    }

    /// RFC 9110 §5.6.2.
    static func isToken(_ bytes: some Collection<UInt8>) -> Bool {
        let marks = "!#$%&'*+-.^_`|~"
        return !bytes.isEmpty
            && bytes.allSatisfy { byte in
                let character = Character(UnicodeScalar(byte))
                return byte < 128
                    && (character.isLetter || character.isNumber || marks.contains(character))
            }
    }

    /// RFC 9110 §5.5: HTAB, space, visible ASCII and bytes from 0x80 on; in answers everything but CR,
    /// LF and NUL.
    static func isValue(_ bytes: some Collection<UInt8>, _ isAnswer: Bool) -> Bool {
        if isAnswer { return bytes.allSatisfy { ![0, 10, 13].contains($0) } }
        return bytes.allSatisfy { $0 == 9 || 32..<127 ~= $0 || $0 >= 128 }
    }
}
