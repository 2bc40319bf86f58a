// SPDX-License-Identifier: Apache-2.0
import Synchronization
import TLS

/// Users with their passwords, as a file of Apache's `htpasswd` has them.
///
/// What was found of a user and password is kept by a keyed digest, never by the password, so that hashing is done
/// once and not for each request.
public final class PasswordList: Sendable {
    private static let rightMax = 16_384
    private static let wrongMax = 4_096
    /// Bytes of a password; longer ones are wrong without being hashed, for which SHA-crypt would take as much longer.
    static let passwordBytesMax = 128

    private let hashes: [[UInt8]: PasswordHash]
    /// Hashed for users that there are none of, so that the time tells nothing of who is one.
    private let other: PasswordHash
    private let key = DigestKey()
    private let found = Mutex(Found())

    private struct Found {
        var right = RecentDigests(most: rightMax)
        var wrong = RecentDigests(most: wrongMax)
    }

    /// Why a file can't be used.
    public struct Fault: Error, Sendable, Equatable {
        /// What was found in which line, and what is allowed, as a clause behind the name of the file.
        public let clause: String
    }

    /// Reads the lines of a file: `user:hash`, blank ones, and comments behind `#`.
    public init(_ bytes: [UInt8]) throws(Fault) {
        var hashes: [[UInt8]: PasswordHash] = [:]
        var first: PasswordHash?
        let text = try Self.text(of: bytes)
        // `\r\n` is one character of Swift.
        let lines = text.split(omittingEmptySubsequences: false) { $0.isNewline }
        for (index, line) in lines.enumerated() {
            if line.allSatisfy(\.isWhitespace) || line.hasPrefix("#") { continue }
            let (user, hash) = try Self.entry(line, index + 1)
            guard hashes.updateValue(hash, forKey: user) == nil else {
                throw Fault(
                    clause: "line \(index + 1) is of a user that an earlier line has too, allowed:"
                        + " one line for each user")
            }
            first = first ?? hash
        }
        guard let first else {
            throw Fault(clause: "it holds no user, allowed: lines of a user, ':' and a hash")
        }
        self.hashes = hashes
        other = first
    }

    /// The text of a file, without the mark of its order of bytes that some editors put in front.
    private static func text(of bytes: [UInt8]) throws(Fault) -> String {
        let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
        let bytes = bytes.starts(with: mark) ? bytes[mark.count...] : bytes[...]
        if let text = String(validating: bytes, as: UTF8.self) { return text }
        let lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        let line = lines.firstIndex { String(validating: $0, as: UTF8.self) == nil } ?? 0
        throw Fault(clause: "line \(line + 1) has bytes that are no UTF-8, allowed: text in UTF-8")
    }

    private static func entry(
        _ line: Substring, _ number: Int
    ) throws(Fault) -> (user: [UInt8], hash: PasswordHash) {
        guard let colon = line.firstIndex(of: ":"), colon != line.startIndex else {
            throw Fault(clause: "line \(number) has no user and ':' in front of a hash")
        }
        // What other programs note behind the hash means nothing here.
        let hash = line[line.index(after: colon)...].prefix { $0 != ":" && !$0.isWhitespace }
        do throws(PasswordHash.Fault) {
            return (Array(line[..<colon].utf8), try PasswordHash(hash))
        } catch {
            throw Fault(
                clause: "line \(number) has \(error.clause), allowed: \(PasswordHash.allowed)")
        }
    }

    /// Whether another list has the same users and passwords.
    public func isSame(as other: PasswordList) -> Bool { hashes == other.hashes }

    /// How many users there are.
    public var count: Int { hashes.count }

    /// A user's password to be judged.
    public func question(user: [UInt8], password: [UInt8]) -> PasswordQuestion {
        PasswordQuestion(
            list: self, user: user, password: password,
            digest: key.digest(of: user, password))
    }

    /// What is known of a password without hashing it; nil where that has to be done.
    public func known(_ question: PasswordQuestion) -> Bool? {
        if question.isTooLong { return false }
        return found.withLock { found in
            if found.right.has(question.digest) { return true }
            return found.wrong.has(question.digest) ? false : nil
        }
    }

    /// Hashes a password, and keeps in mind what came of it.
    func judge(_ question: PasswordQuestion, _ room: borrowing CryptRoom) -> Bool {
        if question.isTooLong { return false }
        let hash = hashes[question.user]
        let isRight = (hash ?? other).isRight(question.password, room) && hash != nil
        found.withLock { found in
            if isRight {
                found.right.insert(question.digest)
            } else {
                found.wrong.insert(question.digest)
            }
        }
        return isRight
    }
}

/// A user's password that may be right.
public struct PasswordQuestion: Sendable {
    /// Whose users it is about.
    public let list: PasswordList
    /// The user's name.
    public let user: [UInt8]
    let password: [UInt8]
    let digest: KeyedDigest

    fileprivate var isTooLong: Bool { password.count > PasswordList.passwordBytesMax }
}

/// Digests that were seen last, a bounded number of them.
struct RecentDigests {
    private let most: Int
    private var young: Set<KeyedDigest> = []
    /// Those that were young before, and were not asked for since.
    private var old: Set<KeyedDigest> = []

    init(most: Int) { self.most = most }

    var count: Int { young.count + old.count }

    mutating func has(_ digest: KeyedDigest) -> Bool {
        if young.contains(digest) { return true }
        guard old.contains(digest) else { return false }
        insert(digest)
        return true
    }

    mutating func insert(_ digest: KeyedDigest) {
        old.remove(digest)
        young.insert(digest)
        guard young.count * 2 >= most else { return }
        old = young
        young = []
    }
}
