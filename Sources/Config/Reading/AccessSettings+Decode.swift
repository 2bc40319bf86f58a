// SPDX-License-Identifier: Apache-2.0

extension AccessSettings {
    static let section = Section(
        "routes[].access", AccessSettings(),
        [
            .custom(
                "addresses", .mapping("routes[].access.addresses"), absent: "any address",
                "which addresses may use the route; others get 403"
            ) { owner, value in
                owner.addresses = AddressRules(value)
                return owner.addresses != nil
            },
            .custom(
                "basic", .mapping("routes[].access.basic"), absent: "none is asked for",
                "which users with which passwords may use the route; others get 401"
            ) { owner, value in
                owner.basic = BasicSettings.section.decode(value)
                return owner.basic != nil
            },
            .custom(
                "jwt", .mapping("routes[].access.jwt"), absent: "none is asked for",
                "a signed token (JWT, RFC 7519) that has to come with each request; others get 401"
            ) { owner, value in
                owner.token = TokenSettings(value)
                return owner.token != nil
            },
            .custom(
                "clientCertificate", .mapping("routes[].access.clientCertificate"),
                absent: "none is asked for",
                "which client certificates may use the route, `{}` for each that a listener has verified; others get 403"
            ) { owner, value in
                owner.clientCertificate = CertificateRuleSettings(value)
                return owner.clientCertificate != nil
            },
            .custom(
                "forward", .mapping("routes[].access.forward"), absent: "none is asked",
                "another server that says who may use the route; the client gets its refusal"
            ) { owner, value in
                owner.forward = ForwardSettings(value)
                return owner.forward != nil
            },
        ])

    init?(_ value: Value) {
        let read = Self.section.decode(value) { _, fields in
            fields.hasAny(of: Self.section, or: value)
        }
        guard let read else { return nil }
        self = read
    }
}

extension AddressRules {
    static let section = Section(
        "routes[].access.addresses", AddressRules(),
        [
            .custom(
                "allow", .list(.text("text")), absent: "everybody whom `deny` does not name",
                "addresses that are let in: blocks as `10.0.0.0/8` or `2001:db8::/32`, single addresses, or `unix` for "
                    + "all that come through a socket file"
            ) { owner, value in
                guard let blocks = blocks(value) else { return false }
                owner.allow = blocks
                return true
            },
            .custom(
                "deny", .list(.text("text")), absent: "none",
                "addresses that are not, written in the same way"
            ) { owner, value in
                guard let blocks = blocks(value) else { return false }
                owner.deny = blocks
                return true
            },
        ])

    fileprivate init?(_ value: Value) {
        let read = Self.section.decode(value) { _, fields in
            fields.hasAny(of: Self.section, or: value)
        }
        guard let read else { return nil }
        self = read
    }

    private static func blocks(_ value: Value) -> [PlacedBlock]? {
        value.nonEmptyList(of: "addresses, as 10.0.0.0/8")?.compactMap(PlacedBlock.init)
    }
}

extension BasicSettings {
    static let section = Section(
        "routes[].access.basic", BasicSettings(file: ""),
        [
            .required(
                "file", .text("path"),
                "the users, a line each: name, `:` and the hash of the password, as `htpasswd -B` writes it"
            ) { owner, value in
                guard let path = value.text("the path of a file of users and passwords") else {
                    return false
                }
                owner.file = value.findings.resolve(path)
                owner.place = value.place
                return true
            },
            .custom(
                "realm", .text("text"), absent: "`\(BasicSettings(file: "").realm)`",
                "what browsers show to people whom they ask for a password"
            ) { owner, value in
                guard let text = value.text("a text in one line") else { return false }
                guard FieldSyntax.isValue(text) else {
                    value.report("found a control character, allowed: a text in one line")
                    return false
                }
                owner.realm = text
                return true
            },
        ])
}

extension PlacedBlock {
    /// Judges the form; whether the block's bits fit its length is seen when it is made.
    init?(_ value: Value) {
        let allowed = "an address or a block of them, as 10.0.0.0/8, 2001:db8::/32 or ::1, or unix"
        guard let text = value.text(allowed) else { return nil }
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        let isIPv4 = Syntax.isIPv4(parts[0])
        guard text == "unix" || parts.count <= 2 && (isIPv4 || Syntax.isIPv6(parts[0])) else {
            value.report("found '\(text)', allowed: \(allowed)")
            return nil
        }
        if parts.count == 2 {
            let most = isIPv4 ? 32 : 128
            guard let length = Int(decimal: parts[1]), length <= most else {
                value.report("found '/\(parts[1])' in '\(text)', allowed: /0 to /\(most)")
                return nil
            }
        }
        self.init(text, place: value.place)
    }
}

extension Fields {
    /// Whether a mapping says anything: one without a key would let everybody in, which nobody means who writes it.
    ///
    /// What is mistyped was told before.
    func hasAny<Owner>(of section: Section<Owner>, or value: Value) -> Bool {
        let names = section.keys.names
        if names.contains(where: { self[$0] != nil || isMeant($0) }) || hasUnknown { return true }
        value.report("found no rule, allowed: one or more of \(names.joined(separator: ", "))")
        return false
    }
}
