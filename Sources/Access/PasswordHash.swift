// SPDX-License-Identifier: Apache-2.0
import CCrypt
import Glibc
import TLS

/// A password as a file of passwords keeps it: by bcrypt or SHA-crypt, which are slow on purpose.
struct PasswordHash: Sendable, Equatable {
    /// What libcrypt is given, and gives back for the right password.
    private let text: [UInt8]

    /// What a cost may be, so that nobody's password keeps the others waiting for seconds.
    private static let bcryptCosts = 4...14
    private static let shaRounds = 1_000...1_000_000
    /// What hashes may be, in words.
    static let allowed =
        "a hash by bcrypt ($2y$, as `htpasswd -B` makes it) or SHA-crypt ($5$ or $6$, `openssl passwd -6`)"

    /// Why a text is no such hash, as a clause; it tells nothing of the text.
    struct Fault: Error, Equatable {
        let clause: String
    }

    /// Reads a hash.
    init(_ text: Substring) throws(Fault) {
        if text.hasPrefix("$2") {
            try Self.checkBcrypt(text)
        } else if text.hasPrefix("$5$") {
            try Self.checkSHA(text.dropFirst(3), hashCount: 43)
        } else if text.hasPrefix("$6$") {
            try Self.checkSHA(text.dropFirst(3), hashCount: 86)
        } else {
            throw Fault(clause: Self.clause(ofOther: text))
        }
        self.text = Array(text.utf8)
    }

    private static func clause(ofOther text: Substring) -> String {
        if text.hasPrefix("$apr1$") || text.hasPrefix("$1$") { return "a hash by MD5" }
        if text.hasPrefix("{SHA}") { return "a hash by SHA-1 without salt" }
        if text.hasPrefix("$") || text.hasPrefix("{") { return "a hash of another kind" }
        return "a password that is plain, or hashed by DES"
    }

    /// `$2y$12$` with 53 letters behind.
    private static func checkBcrypt(_ text: Substring) throws(Fault) {
        let parts = text.split(separator: "$", omittingEmptySubsequences: false)
        guard parts.count == 4, ["2y", "2b", "2a"].contains(parts[1]), parts[2].utf8.count == 2,
            isDigits(parts[2]), let cost = Int(parts[2]), parts[3].utf8.count == 53,
            isLetters(parts[3])
        else { throw Fault(clause: "a hash by bcrypt that is not whole") }
        guard bcryptCosts.contains(cost) else {
            throw Fault(
                clause: "a hash by bcrypt of cost \(cost), where \(bcryptCosts.lowerBound) to"
                    + " \(bcryptCosts.upperBound) are allowed")
        }
    }

    /// `rounds=10000$`, which may be missing, then the salt, `$` and the hash.
    private static func checkSHA(_ text: Substring, hashCount: Int) throws(Fault) {
        var parts = text.split(separator: "$", omittingEmptySubsequences: false)
        if let first = parts.first, first.hasPrefix("rounds=") {
            let digits = first.dropFirst(7)
            // Programs differ in what they make of `+` or a zero in front.
            guard isDigits(digits), !digits.hasPrefix("0"), let rounds = Int(digits) else {
                throw Fault(clause: "a hash by SHA-crypt that is not whole")
            }
            guard shaRounds.contains(rounds) else {
                throw Fault(
                    clause: "a hash by SHA-crypt of \(rounds) rounds, where"
                        + " \(shaRounds.lowerBound) to \(shaRounds.upperBound) are allowed")
            }
            parts.removeFirst()
        }
        guard parts.count == 2, (1...16).contains(parts[0].utf8.count),
            parts[1].utf8.count == hashCount, isLetters(parts[0]), isLetters(parts[1])
        else { throw Fault(clause: "a hash by SHA-crypt that is not whole") }
    }

    private static func isDigits(_ text: Substring) -> Bool {
        text.utf8.allSatisfy { 0x30...0x39 ~= $0 }
    }

    private static func isLetters(_ text: Substring) -> Bool {
        text.utf8.allSatisfy { byte in
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, UInt8(ascii: "."), UInt8(ascii: "/"): true
            default: false
            }
        }
    }

    /// Whether this is the hash of a password, which takes milliseconds to seconds.
    ///
    /// How long it takes tells nothing of how the password differs.
    func isRight(_ password: [UInt8], _ room: borrowing CryptRoom) -> Bool {
        // The library reads up to the first NUL, and no more than this.
        guard !password.contains(0), password.count < Int(CRYPT_MAX_PASSPHRASE_SIZE) else {
            return false
        }
        return SecretComparison.isEqual(text, room.hash(password, as: text))
    }
}

/// The memory that libcrypt works in; what is left in it is wiped.
struct CryptRoom: ~Copyable {
    private let data: UnsafeMutablePointer<crypt_data>

    init() {
        data = .allocate(capacity: 1)
        memset(data, 0, MemoryLayout<crypt_data>.size)
    }

    deinit {
        explicit_bzero(data, MemoryLayout<crypt_data>.size)
        data.deallocate()
    }

    /// The hash of a password in the manner of another hash; empty where libcrypt knows no such manner.
    func hash(_ password: [UInt8], as setting: [UInt8]) -> [UInt8] {
        var phrase = password.map { CChar(bitPattern: $0) } + [0]
        let setting = setting.map { CChar(bitPattern: $0) } + [0]
        defer {
            phrase.withUnsafeMutableBytes { bytes in
                if let start = bytes.baseAddress { explicit_bzero(start, bytes.count) }
            }
        }
        guard let made = crypt_r(phrase, setting, data) else { return [] }
        return (0..<strlen(made)).map { UInt8(bitPattern: made[$0]) }
    }
}
