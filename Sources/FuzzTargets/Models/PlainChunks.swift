// SPDX-License-Identifier: Apache-2.0
import Wire

/// Chunks over a whole body at once and without any haste (RFC 9112 §7.1): what `BodyDecoder` must
/// agree with.
struct PlainChunks {
    enum End { case open, done, broken }

    private(set) var payload: [UInt8] = []
    private(set) var consumed = 0
    private(set) var end = End.open
    private var framingBytes = 0
    private let body: [UInt8]

    init(_ body: [UInt8], _ limits: HeadLimits, isAnswer: Bool) {
        self.body = body
        while let size = takeSizeLine() {
            if size == 0 {
                takeTrailers(limits, isAnswer)
                return
            }
            let room = UInt64(body.count - consumed)
            let taken = Int(min(size, room))
            payload += body[consumed..<consumed + taken]
            consumed += taken
            if size > room { return }
            guard take(13), take(10) else { return }
        }
    }

    /// Digits, perhaps an extension, CRLF; nil when they are broken or more bytes are needed.
    private mutating func takeSizeLine() -> UInt64? {
        var digits = ""
        var extensionBytes: Int?
        while let byte = takeFraming() {
            let character = Character(UnicodeScalar(byte))
            if let count = extensionBytes {
                guard count < BodyDecoder.extensionBytesMax else { return fail() }
                if byte == 13 { break }
                guard byte == 9 || byte >= 32 && byte != 127 else { return fail() }
                extensionBytes = count + 1
            } else if character.isASCII, character.isHexDigit {
                digits.append(character)
                guard digits.count <= 15 else { return fail() }
            } else {
                guard !digits.isEmpty else { return fail() }
                if byte == 13 { break }
                guard character == ";" else { return fail() }
                extensionBytes = 0
            }
        }
        return end == .open && take(10) ? UInt64(digits, radix: 16) : nil
    }

    /// One byte of framing, which has to be this one.
    private mutating func take(_ expected: UInt8) -> Bool {
        guard let byte = takeFraming() else { return false }
        if byte != expected { end = .broken }
        return end == .open
    }

    /// One byte of framing, as long as there is not too much of it.
    private mutating func takeFraming() -> UInt8? {
        guard end == .open, consumed < body.count else { return nil }
        framingBytes += 1
        guard framingBytes <= BodyDecoder.overheadBytesMax + 8 * payload.count else {
            end = .broken
            return nil
        }
        consumed += 1
        return body[consumed - 1]
    }

    private mutating func fail() -> UInt64? {
        end = .broken
        return nil
    }

    /// Lines up to the empty one, as those of a head.
    private mutating func takeTrailers(_ limits: HeadLimits, _ isAnswer: Bool) {
        let rest = Array(body[consumed...])
        switch PlainFields(rest, limits, hasFirstLine: false, isAnswer: isAnswer).end {
        case .open: break
        case .broken: end = .broken
        case .done(let count):
            consumed += count
            end = .done
        }
    }
}
