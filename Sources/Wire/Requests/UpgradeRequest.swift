// SPDX-License-Identifier: Apache-2.0

/// The client's half of the opening handshake, proven complete (RFC 6455 §4.2.1).
///
/// A value of this type exists only for a request that may be forwarded as an upgrade: where it was
/// judged leniently, on routes that accept its `departures`.
public struct UpgradeRequest: Sendable {
    /// The host that the request is for, in the form that is compared; its name is empty where the
    /// request names none.
    public let host: HostName
    /// The `Host` field as sent, or in place of an empty one the host of an absolute target; empty where
    /// there is neither.
    public let authority: [UInt8]
    /// The path and query.
    public private(set) var target: RequestTarget
    /// The `Sec-WebSocket-Key` as sent: 24 characters of base64, unless `departures` say otherwise.
    public let key: [UInt8]
    /// The `Origin` field as sent, if there is one.
    public let origin: [UInt8]?
    /// Whether permessage-deflate is among the extensions offered.
    public let offersDeflate: Bool
    /// The head that all this was read from.
    public private(set) var head: RequestHead

    /// Fields that do not go on as they came, since they are empty or hold what is no offer.
    public let unsound: KnownFields
    /// What goes on in place of an unsound `Sec-WebSocket-Extensions`: the offers that are sound, or
    /// nothing.
    public let soundOffers: [UInt8]
    /// Where the request departs from RFC 6455 in a way that some devices do.
    public let departures: Departures

    /// The extensions offered, in lower case.
    let extensions: Set<String>

    /// Ways in which the handshakes of some devices depart from RFC 6455 §4.1, harmless where the
    /// operator knows that nothing stands in front which could be misled.
    public struct Departures: OptionSet, Sendable {
        /// One bit per departure.
        public let rawValue: UInt8
        /// The departures of these bits.
        public init(rawValue: UInt8) { self.rawValue = rawValue }
        /// There is no `Connection` field.
        public static let missingConnection = Departures(rawValue: 1)
        /// The key is base64, but not of 16 bytes.
        public static let anyKeyLength = Departures(rawValue: 2)
    }

    /// Why the request is refused where only `accepted` departures are allowed; nil if it is not.
    public func fault(accepting accepted: Departures) -> UpgradeFault? {
        let refused = departures.subtracting(accepted)
        if refused.contains(.missingConnection) { return Self.noConnection }
        return refused.contains(.anyKeyLength) ? Self.wrongKey : nil
    }

    /// Takes fields of the head out, or gives them other values.
    mutating func change(_ changes: [FieldChange]) { head.fields.change(changes) }

    /// Has another query go on, or none.
    mutating func setQuery(_ query: [UInt8]?) { target = target.with(query: query) }

    /// Reads the handshake out of a head, or says why it is none.
    ///
    /// The departures in `noted` are no reason to refuse it here: a route may accept them, which is
    /// known later, and `fault(accepting:)` decides then.
    public static func judge(
        _ head: RequestHead, noting noted: Departures = []
    ) throws(UpgradeFault) -> UpgradeRequest {
        let fields = head.fields
        // Host and target first: they must be sound whatever the request is for.
        var authority = try authority(of: head)
        let host: HostName
        let target: RequestTarget
        do throws(HeadFault) {
            let named: HostName?
            if authority.isEmpty { named = nil } else { named = try HostName(parsing: authority) }
            target = try RequestTarget(parsing: head.target)
            // An empty one is lawful where the URL has no host (RFC 9110 §7.2). Where the target has one,
            // that takes the place of the field (RFC 9112 §3.2.2).
            if let named {
                host = named
            } else if let own = target.authority {
                authority = own[...]
                host = try HostName(parsing: authority)
            } else {
                host = .nameless
            }
            if let other = target.authority, try HostName(parsing: other[...]) != host {
                throw .bad("The URL in the request line names another host than Host does.")
            }
        } catch {
            throw UpgradeFault(error)
        }
        try checkIntent(head)
        let (key, departures) = try checkHandshake(fields, noting: noted)
        guard !fields.repeated.has(.origin) else {
            throw .malformed("There is more than one Origin.")
        }
        // An offer that breaks the grammar is no offer, and what is empty offers nothing.
        let offers = ExtensionList(fields)
        var unsound = KnownFields()
        if offers.hasFault || offers.hasEmptyField {
            unsound.insert(KnownFields(.secWebSocketExtensions))
        }
        if fields.hasEmptyList(.secWebSocketProtocol),
            fields.tokens("sec-websocket-protocol").isEmpty
        {
            unsound.insert(KnownFields(.secWebSocketProtocol))
        }
        return UpgradeRequest(
            host: host, authority: Array(authority), target: target, key: Array(key),
            origin: fields.only(.origin).map { Array(fields.value(of: $0)) },
            offersDeflate: offers.names.contains("permessage-deflate"), head: head,
            unsound: unsound, soundOffers: unsound.isEmpty ? [] : offers.text(of: fields),
            departures: departures, extensions: Set(offers.names))
    }

    private static func authority(
        of head: RequestHead
    ) throws(UpgradeFault) -> ArraySlice<UInt8> {
        guard head.fields.known.has(.host) else { throw .malformed("There is no Host field.") }
        guard let field = head.fields.only(.host) else {
            throw .malformed("There is more than one Host field.")
        }
        return head.fields.value(of: field)
    }

    /// Whether the request asks for a WebSocket at all, and as a bare HTTP/1.1 GET.
    private static func checkIntent(_ head: RequestHead) throws(UpgradeFault) {
        let fields = head.fields
        guard fields.upgradesToWebSocket else {
            throw UpgradeFault(
                status: 426, sentence: "This address speaks WebSocket; the request asks for none.",
                kind: .notAnUpgrade)
        }
        guard head.verb == .get else {
            throw UpgradeFault(
                status: 400, sentence: "A WebSocket is asked for with GET only.", kind: .badMethod)
        }
        guard head.isHTTP11 else {
            throw .malformed("A WebSocket is asked for in HTTP/1.1, not HTTP/1.0.")
        }
        guard fields.saysNoBody else { throw .malformed("A request for a WebSocket has no body.") }
    }

    private static let noConnection = UpgradeFault.malformed(
        "There is no Connection field, which has to contain 'upgrade'.")
    private static let wrongKey = UpgradeFault.malformed(
        "The Sec-WebSocket-Key is not 16 bytes in base64.")

    /// The fields that belong to the handshake alone; returns the key, and what is unusual.
    private static func checkHandshake(
        _ fields: FieldList, noting noted: Departures
    ) throws(UpgradeFault) -> (key: ArraySlice<UInt8>, departures: Departures) {
        var departures: Departures = []
        if !fields.known.has(.connection) {
            // Where there is no version either, it is no device's handshake.
            guard noted.contains(.missingConnection), fields.known.has(.secWebSocketVersion) else {
                throw noConnection
            }
            departures.insert(.missingConnection)
        } else if !fields.connectionOptions.contains(.upgrade) {
            throw .malformed("The Connection field does not contain 'upgrade'.")
        }
        guard let version = fields.only(.secWebSocketVersion),
            fields.value(of: version).elementsEqual("13".utf8)
        else {
            throw UpgradeFault(
                status: 426, sentence: "Sec-WebSocket-Version is not 13, the only one supported.",
                kind: .wrongVersion)
        }
        guard let field = fields.only(.secWebSocketKey) else {
            throw .malformed("There is not exactly one Sec-WebSocket-Key.")
        }
        let key = fields.value(of: field)
        guard let digits = base64Digits(key), digits > 0 else { throw wrongKey }
        // 22 characters of base64 and two of padding are 16 bytes.
        if key.count != 24 || digits != 22 {
            guard noted.contains(.anyKeyLength) else { throw wrongKey }
            departures.insert(.anyKeyLength)
        }
        return (key, departures)
    }

    /// How many characters of base64 (RFC 4648 §4) stand in front of at most two of padding; nil where
    /// something else stands there.
    private static func base64Digits(_ key: ArraySlice<UInt8>) -> Int? {
        let digits = key.prefix {
            Octet.isDigit($0) || Octet.lowercased($0) &- 0x61 < 26
                || $0 == UInt8(ascii: "+") || $0 == Octet.slash
        }
        let padding = key[digits.endIndex...]
        guard padding.count <= 2, padding.allSatisfy({ $0 == UInt8(ascii: "=") }) else {
            return nil
        }
        return digits.count
    }
}
