// SPDX-License-Identifier: Apache-2.0
import Foundation
import Reactor
import TLS

/// What whoever changes something by TCP has to know: the content of a file (`admin.token`).
///
/// The file is read at each use, so a new token holds from the moment in which it is written.
public struct AdminToken: Sendable {
    /// The fewest bytes that a token has.
    public static let bytesMin = 16
    /// The most bytes that a token has.
    public static let bytesMax = 4_096

    /// The file.
    public let path: String

    /// The token in this file, which may be written later.
    public init(path: String) { self.path = path }

    /// Why a file is no token, as a clause behind its name.
    public struct Fault: Error, Sendable {
        /// What is wrong with it.
        public let sentence: String
    }

    /// Reads the token: the file without white space at its ends.
    ///
    /// It goes into a field of a request as it is, so it has visible characters of ASCII alone (RFC 6750 §2.1 has
    /// fewer).
    public func read() throws(Fault) -> [UInt8] {
        let bytes: [UInt8]
        do throws(WholeFile.Refusal) {
            bytes = try WholeFile.read(path)
        } catch {
            throw Fault(sentence: "\(error.sentence); \(error.remedy)")
        }
        func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || 0x09...0x0D ~= byte }
        guard let first = bytes.firstIndex(where: { !isSpace($0) }),
            let last = bytes.lastIndex(where: { !isSpace($0) })
        else { throw Fault(sentence: "it is empty; write a token into it") }
        let token = Array(bytes[first...last])
        guard Self.bytesMin...Self.bytesMax ~= token.count else {
            throw Fault(
                sentence:
                    "it has \(token.count) bytes; a token has \(Self.bytesMin) to \(Self.bytesMax)")
        }
        guard token.allSatisfy({ 0x21...0x7E ~= $0 }) else {
            throw Fault(
                sentence:
                    "it is more than one word of letters, digits and signs of ASCII")
        }
        return token
    }

    /// Whether `Authorization` has it (RFC 6750 §2.1).
    ///
    /// - Throws: `Fault` where the file has no token, so that nobody can have it.
    func isIn(_ authorization: ArraySlice<UInt8>?) throws(Fault) -> Bool {
        let token = try read()
        let scheme = Array("bearer ".utf8)
        guard let authorization, authorization.count > scheme.count,
            zip(authorization, scheme).allSatisfy({ $0 | 0x20 == $1 })
        else { return false }
        let sent = authorization.dropFirst(scheme.count).drop { $0 == 0x20 }
        return SecretComparison.isEqual(token, Array(sent))
    }
}
