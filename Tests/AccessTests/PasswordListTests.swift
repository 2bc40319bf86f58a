// SPDX-License-Identifier: Apache-2.0
import TestKit
import Testing

@testable import Access

/// Files of users and passwords: which are taken, and who is right.
struct PasswordListTests {
    /// Of the test vectors of OpenBSD's bcrypt: the password is `abc`.
    static let abc = "$2a$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i"

    private func list(_ text: String) throws -> PasswordList { try PasswordList(Array(text.utf8)) }

    private func isRight(_ list: PasswordList, _ user: String, _ password: String) -> Bool {
        let question = list.question(user: Array(user.utf8), password: Array(password.utf8))
        return list.judge(question, CryptRoom())
    }

    private func fault(_ text: String) -> String {
        do {
            _ = try list(text)
            return "none"
        } catch {
            return (error as? PasswordList.Fault)?.clause ?? "\(error)"
        }
    }

    @Test func `a password is right for its user, and for no other`() throws {
        let list = try list("# people\r\n\r\nann:\(Self.abc)\r\nbob:\(Self.abc):noted\n")
        #expect(list.count == 2)
        #expect(isRight(list, "ann", "abc") && isRight(list, "bob", "abc"))
        for (user, password) in [
            ("ann", "abd"), ("ann", ""), ("ann", "abc\u{0}"), ("ann", "ABC"), ("Ann", "abc"),
            ("", "abc"), ("carl", "abc"), ("# people", "abc"), ("ann", Self.abc),
            ("ann", String(repeating: "a", count: 511)),
            ("ann", String(repeating: "a", count: 512)),
        ] {
            #expect(!isRight(list, user, password), "\(user) \(password.prefix(9))")
        }
    }

    @Test(arguments: ["$2y$-5$", "$2y$+5$", "$6$rounds=+5000$salt$", "$6$rounds=05000$salt$"])
    func `numbers in a hash are digits alone`(setting: String) {
        let isBcrypt = setting.hasPrefix("$2y")
        let hash = isBcrypt ? String(Self.abc.suffix(53)) : String(repeating: "a", count: 86)
        let kind = isBcrypt ? "bcrypt" : "SHA-crypt"
        let found = fault("ann:\(setting)\(hash)")
        #expect(found.hasPrefix("line 1 has a hash by \(kind) that is not whole"), "\(found)")
    }

    @Test func `a mark of the order of bytes is nobody's name`() throws {
        #expect(isRight(try list("\u{FEFF}ann:\(Self.abc)\n"), "ann", "abc"))
    }

    @Test func `bytes that are no UTF-8 are told with their line`() {
        #expect(throws: PasswordList.Fault.self) {
            _ = try PasswordList(Array("ann:\(Self.abc)\n".utf8) + [0xFC] + Array(":x\n".utf8))
        }
        do {
            _ = try PasswordList(Array("ann:\(Self.abc)\n".utf8) + [0xFC] + Array(":x\n".utf8))
        } catch {
            #expect(error.clause == "line 2 has bytes that are no UTF-8, allowed: text in UTF-8")
        }
    }

    @Test func `a password that is too long is known to be wrong, and not hashed`() throws {
        let long = String(repeating: "a", count: PasswordList.passwordBytesMax + 1)
        let hash = try #require(try run(["openssl", "passwd", "-6", long]).first)
        let list = try list("ann:\(hash)")
        let question = list.question(user: Array("ann".utf8), password: Array(long.utf8))
        #expect(list.known(question) == false)
        #expect(!isRight(list, "ann", long))
        let most = list.question(user: Array("ann".utf8), password: Array(long.dropLast().utf8))
        #expect(list.known(most) == nil)
    }

    @Test(arguments: ["-5", "-6"])
    func `what openssl hashes is known`(kind: String) throws {
        let hash = try #require(try run(["openssl", "passwd", kind, "Grüße: $1"]).first)
        let list = try list("ü:\(hash)\n")
        #expect(isRight(list, "ü", "Grüße: $1"))
        #expect(!isRight(list, "ü", "Grüße: $2"))
    }

    @Test func `what perl's crypt hashes is known, with rounds and by bcrypt`() throws {
        for setting in ["$6$rounds=2000$salt", "$5$rounds=1000$s", "$2y$04$abcdefghijklmnopqrstuu"]
        {
            let words = "print crypt(q(pass word), q(\(setting)))"
            let hash = try #require(try run(["perl", "-e", words]).first)
            #expect(isRight(try list("a:\(hash)"), "a", "pass word"), "\(setting)")
        }
    }

    @Test func `what was found is known without hashing, by the same list alone`() throws {
        let first = try list("ann:\(Self.abc)")
        let right = first.question(user: Array("ann".utf8), password: Array("abc".utf8))
        let wrong = first.question(user: Array("ann".utf8), password: Array("ab".utf8))
        #expect(first.known(right) == nil && first.known(wrong) == nil)
        _ = first.judge(right, CryptRoom())
        _ = first.judge(wrong, CryptRoom())
        #expect(first.known(right) == true && first.known(wrong) == false)
        // Where one text ends and the other begins makes a difference.
        let moved = first.question(user: Array("anna".utf8), password: Array("bc".utf8))
        #expect(first.known(moved) == nil)
        let second = try list("ann:\(Self.abc)")
        #expect(second.isSame(as: first))
        let again = second.question(user: Array("ann".utf8), password: Array("abc".utf8))
        #expect(second.known(again) == nil)
        #expect(!(try list("bob:\(Self.abc)")).isSame(as: first))
    }

    @Test func `what is kept in mind is bounded, and those that are asked for stay`() {
        let list = try? list("ann:\(Self.abc)")
        var recent = RecentDigests(most: 8)
        func digest(_ number: Int) -> PasswordQuestion? {
            list?.question(user: [1], password: Array("\(number)".utf8))
        }
        for number in 0..<100 {
            guard let next = digest(number), let first = digest(0) else { break }
            recent.insert(next.digest)
            let hasBoth = (recent.has(next.digest), recent.has(first.digest))
            #expect(hasBoth == (true, true), "\(number)")
            #expect(recent.count <= 8)
        }
        let hasOld = digest(50).map { recent.has($0.digest) }
        #expect(hasOld == false)
    }

    @Test(arguments: [
        ("ann:secret", "line 1 has a password that is plain, or hashed by DES"),
        ("ann:", "line 1 has a password that is plain, or hashed by DES"),
        ("\nann:rqXexS6ZhobKA", "line 2 has a password that is plain, or hashed by DES"),
        ("ann:$apr1$x$y", "line 1 has a hash by MD5"), ("ann:$1$x$y", "line 1 has a hash by MD5"),
        ("ann:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "line 1 has a hash by SHA-1 without salt"),
        ("ann:$y$j9T$x$y", "line 1 has a hash of another kind"),
        (
            "ann:$2y$15$" + abc.suffix(53),
            "line 1 has a hash by bcrypt of cost 15, where 4 to 14 are allowed"
        ),
        ("ann:$2y$05$short", "line 1 has a hash by bcrypt that is not whole"),
        ("ann:$2x$05$" + abc.suffix(53), "line 1 has a hash by bcrypt that is not whole"),
        ("ann:$6$salt$short", "line 1 has a hash by SHA-crypt that is not whole"),
        (
            "ann:$6$rounds=999999999$salt$" + String(repeating: "a", count: 86),
            "line 1 has a hash by SHA-crypt of 999999999 rounds, where 1000 to 1000000 are allowed"
        ),
        (
            "ann:$6$rounds=99999999999999999999$salt$" + String(repeating: "a", count: 86),
            "line 1 has a hash by SHA-crypt that is not whole"
        ),
        ("ann", "line 1 has no user and ':' in front of a hash"),
        (":\(abc)", "line 1 has no user and ':' in front of a hash"),
        (
            "ann:\(abc)\nann:\(abc)",
            "line 2 is of a user that an earlier line has too, allowed: one line for each user"
        ),
        ("", "it holds no user, allowed: lines of a user, ':' and a hash"),
        ("# nobody\n \n", "it holds no user, allowed: lines of a user, ':' and a hash"),
    ])
    func `a line that can't be used is told, and nothing of its hash`(text: String, clause: String)
    {
        let found = fault(text)
        #expect(found.hasPrefix(clause), "\(found)")
        #expect(!found.contains("secret") && !found.contains("rqXexS6ZhobKA"))
    }
}
