// SPDX-License-Identifier: Apache-2.0
public import Reactor

/// Who may use a route: each rule that is there has to let a request in.
public final class AccessRules: Sendable {
    /// From which addresses; any where it is nil.
    public let addresses: AddressList?

    /// These rules, of which one at least is there.
    public init(addresses: AddressList?) {
        self.addresses = addresses
    }
}

/// A rule of a route's `access`, by its key in the configuration.
enum AccessRule: UInt64, CaseIterable {
    case addresses

    var word: String { "\(self)" }

    static func label(_ key: UInt64) -> String { AccessRule(rawValue: key)?.word ?? "other" }
}
