// SPDX-License-Identifier: Apache-2.0
public import Access
public import Reactor

/// Who may use a route: each rule that is there has to let a request in.
public final class AccessRules: Sendable {
    /// From which addresses; any where it is nil.
    public let addresses: AddressList?
    /// With which user and password; without any where it is nil.
    public let basic: BasicRule?
    /// With which signed token; without any where it is nil.
    public let token: TokenAccess?
    /// With which certificate; without any where it is nil.
    public let certificate: CertificateRule?
    /// What another server says; nothing is asked where it is nil.
    public let forward: ForwardRule?

    /// These rules, of which one at least is there.
    public init(
        addresses: AddressList?, basic: BasicRule? = nil, token: TokenAccess? = nil,
        certificate: CertificateRule? = nil, forward: ForwardRule? = nil
    ) {
        self.forward = forward
        self.addresses = addresses
        self.certificate = certificate
        self.basic = basic
        self.token = token
    }
}

/// Users and passwords that are asked for (RFC 7617).
public struct BasicRule: Sendable {
    /// Whose passwords are known.
    public let passwords: PasswordList
    /// The value of `WWW-Authenticate`.
    let challenge: String

    /// A rule that asks for a user of this list.
    ///
    /// - Parameters:
    ///   - passwords: whose passwords are right.
    ///   - realm: what browsers show to people, of characters that a field's value may have.
    public init(passwords: PasswordList, realm: String) {
        self.passwords = passwords
        var quoted = ""
        for character in realm.unicodeScalars {
            if character == "\"" || character == "\\" { quoted += "\\" }
            quoted.unicodeScalars.append(character)
        }
        challenge = "Basic realm=\"\(quoted)\", charset=\"UTF-8\""
    }
}

/// A rule of a route's `access`, by its key in the configuration.
enum AccessRule: UInt64, CaseIterable {
    case addresses, basic, jwt
    case clientCertificate
    case forward

    var word: String { "\(self)" }

    static func label(_ key: UInt64) -> String { AccessRule(rawValue: key)?.word ?? "other" }
}
