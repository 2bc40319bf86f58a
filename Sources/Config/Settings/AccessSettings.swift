// SPDX-License-Identifier: Apache-2.0

/// Who may use a route: each rule that is there has to let a request in.
public struct AccessSettings: Sendable, Equatable {
    /// From which addresses; any where it is nil.
    public var addresses: AddressRules?
    /// With which user and password; without any where it is nil.
    public var basic: BasicSettings?
    /// With which signed token; without any where it is nil.
    public var token: TokenSettings?
    /// With which certificate; without any where it is nil.
    public var clientCertificate: CertificateRuleSettings?
    /// What another server says; nothing is asked where it is nil.
    public var forward: ForwardSettings?

    /// No rule yet.
    public init() {}

    /// The keys of the rules that are there, in the order in which they are asked.
    public var rules: [String] {
        let rules: [(key: String, isThere: Bool)] = [
            ("addresses", addresses != nil), ("jwt", token != nil),
            ("clientCertificate", clientCertificate != nil), ("basic", basic != nil),
            ("forward", forward != nil),
        ]
        return rules.filter(\.isThere).map(\.key)
    }

    /// The same, wherever it was written.
    public var withoutPlaces: AccessSettings {
        var same = self
        same.addresses?.allow = addresses?.allow.map(\.withoutPlace) ?? []
        same.addresses?.deny = addresses?.deny.map(\.withoutPlace) ?? []
        same.basic?.place = .commandLine
        same.token = token?.withoutPlaces
        same.clientCertificate?.place = .commandLine
        same.forward?.place = .commandLine
        return same
    }
}

/// Users and passwords that are asked for.
public struct BasicSettings: Sendable, Equatable {
    /// The file of users and hashed passwords.
    public var file: String
    /// What browsers show to people.
    public var realm = "Sluice"
    /// Where the file was named.
    public var place = SourcePlace.commandLine

    /// Users of this file.
    public init(file: String) { self.file = file }
}

/// Which addresses may use a route; of the blocks that hold an address the longest decides.
public struct AddressRules: Sendable, Equatable {
    /// Those that may.
    ///
    /// Where there is one, those that no block holds may not.
    public var allow: [PlacedBlock] = []
    /// Those that may not.
    public var deny: [PlacedBlock] = []

    /// No block yet.
    public init() {}
}

/// A block of addresses, and where it was written.
public struct PlacedBlock: Sendable, Equatable {
    /// An address, a block of them as `10.0.0.0/8`, or `unix`.
    public var block: String
    /// Where it was written.
    public var place: SourcePlace

    /// A block, and where it was written.
    public init(_ block: String, place: SourcePlace = .commandLine) {
        self.block = block
        self.place = place
    }

    /// The same block, wherever it was written.
    public var withoutPlace: PlacedBlock { PlacedBlock(block) }
}
