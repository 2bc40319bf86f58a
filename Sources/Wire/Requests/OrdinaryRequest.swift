// SPDX-License-Identifier: Apache-2.0

/// A request that asks for no upgrade, judged (RFC 9110, RFC 9112).
///
/// A value of this type exists only for a request that may be answered or forwarded. Its parts are
/// places among the bytes of its head; where the canonical form of one differs from what was sent,
/// it was put behind the head.
public struct OrdinaryRequest: ~Copyable, Sendable {
    /// The head that all this was read from.
    public private(set) var head: RequestHead
    /// Where the body ends.
    public let framing: BodyFraming
    /// Whether the target is `*`, which asks about the server as a whole (RFC 9110 §9.3.7).
    public let isAsterisk: Bool
    /// Whether the client waits for a 100 before it sends the body (RFC 9110 §10.1.1).
    public let expectsContinue: Bool
    /// Whether the client may send another request behind this one (RFC 9112 §9.3).
    public let isPersistent: Bool
    private let hostPlace: HostPlace
    private let authorityPlace: ByteRange
    private var targetPlace: TargetPlace

    /// The bytes that the ranges point into.
    public var bytes: [UInt8] { head.fields.bytes }
    /// Where the name of the host stands, in lower case, without port; empty where the request
    /// names none: an empty `Host`, or HTTP/1.0 without one.
    public var hostRange: Range<Int> { hostPlace.name.range }
    /// The port that the request names.
    public var port: UInt16? { hostPlace.port == 0 ? nil : hostPlace.port }
    /// Where the `Host` field's value stands as sent, or in place of an empty one the host of an absolute
    /// target; empty when there is neither.
    public var authorityRange: Range<Int> { authorityPlace.range }
    /// Where the canonical path stands, by which requests are routed; `/` for `OPTIONS *`.
    public var pathRange: Range<Int> { targetPlace.path.range }
    /// Where the path stands that goes on: as sent, wherever that is possible.
    public var sentPathRange: Range<Int> { targetPlace.sentPath.range }
    /// Whether the canonical path is also the one that goes on.
    public var isPathCanonical: Bool { targetPlace.sentPath == targetPlace.path }
    /// Whether the path holds `%2F` or `%5C`, which some servers take for a slash.
    public var hasEscapedSlash: Bool { targetPlace.hasEscapedSlash }
    /// Whether a server could take the path for another one: `EscapedSlash.readings` are those.
    public var hasOtherReadings: Bool { targetPlace.hasOtherReadings }
    /// Where the query stands as it goes on, without its `?`; nil without one.
    public var queryRange: Range<Int>? { targetPlace.hasQuery ? targetPlace.query.range : nil }

    /// The page that asks whether it may send requests to a more private network than its own, by a preflight
    /// as Chromium sends it (Private Network Access, https://wicg.github.io/private-network-access); nil for
    /// every other request.
    ///
    /// Only for what the opening handshake of a WebSocket needs as well: `GET` without fields of the page's own.
    /// Everything else is for the app to allow.
    public var privateNetworkOrigin: [UInt8]? {
        guard head.verb == .options,
            head.fields.string("access-control-request-private-network") == "true",
            head.fields.string("access-control-request-method") == "GET",
            head.fields.first("access-control-request-headers") == nil
        else { return nil }
        return head.fields.first("origin").map { Array($0) }
    }

    /// The host that the request is for; nil where it names none.
    public var host: HostName? {
        if hostPlace.name.isEmpty { return nil }
        let name = String(decoding: bytes[hostRange], as: UTF8.self)
        return HostName(name: name, port: port, isIPv6: hostPlace.isIPv6)
    }
    /// The bytes at `authorityRange`.
    public var authority: [UInt8] { Array(bytes[authorityRange]) }
    /// The path and query; `/` for `OPTIONS *`.
    public var target: RequestTarget {
        RequestTarget(
            path: Array(bytes[pathRange]), sentPath: Array(bytes[sentPathRange]),
            query: queryRange.map { Array(bytes[$0]) }, hasEscapedSlash: hasEscapedSlash,
            hasOtherReadings: hasOtherReadings)
    }

    /// Gives the memory back to be used for another head; nothing else may be asked then.
    public mutating func takeMemory() -> HeadMemory { head.takeMemory() }

    /// Takes fields of the head out, or gives them other values.
    mutating func change(_ changes: [FieldChange]) { head.fields.change(changes) }

    /// Has another query go on, or none.
    mutating func setQuery(_ query: [UInt8]?) {
        targetPlace.hasQuery = query != nil
        targetPlace.query = query.map { head.fields.append($0) } ?? .empty
    }

    /// No request: a `GET` of nothing without a host.
    public static func none() -> OrdinaryRequest {
        let fields = FieldList(bytes: [], fields: [], known: [], repeated: [])
        let head = RequestHead(
            verb: .get, isHTTP11: true, isTargetASCII: true, methodPlace: .empty,
            targetPlace: .empty, fields: fields)
        let target = TargetPlace.none
        return OrdinaryRequest(
            head: head, framing: .none, isAsterisk: false, expectsContinue: false,
            isPersistent: true, hostPlace: .none, authorityPlace: .empty, targetPlace: target)
    }

    /// Reads the request out of a head, or says why it can't be served.
    public static func judge(_ head: RequestHead) throws(HeadFault) -> OrdinaryRequest {
        var head = head
        return try judge(taking: &head)
    }

    /// The same; the head is taken over where it is a request that can be served.
    public static func judge(taking head: inout RequestHead) throws(HeadFault) -> OrdinaryRequest {
        guard head.verb != .connect else {
            throw HeadFault(
                status: 501,
                sentence: "CONNECT asks for a tunnel of a kind that is not served here.")
        }
        let place = head.targetPlace
        let isAsterisk =
            place.count == 1 && head.fields.bytes[place.lowerBound] == UInt8(ascii: "*")
        guard !isAsterisk || head.verb == .options else {
            throw .bad("The target '*' belongs to OPTIONS alone.")
        }
        let target = try TargetPlace(of: &head, isAsterisk: isAsterisk)
        let (host, authority) = try hostAndAuthority(&head, target)
        let framing = try BodyFraming(request: head)
        guard head.verb != .trace || framing == .none else {
            throw .bad("A TRACE request has no body.")
        }
        let options = head.fields.connectionOptions
        let isPersistent =
            !options.contains(.close) && (head.isHTTP11 || options.contains(.keepAlive))
        let expectsContinue = try expectsContinue(head)
        return OrdinaryRequest(
            head: head.takeOver(), framing: framing, isAsterisk: isAsterisk,
            expectsContinue: expectsContinue, isPersistent: isPersistent, hostPlace: host,
            authorityPlace: authority, targetPlace: target)
    }

    private static func hostAndAuthority(
        _ head: inout RequestHead, _ target: TargetPlace
    ) throws(HeadFault) -> (HostPlace, ByteRange) {
        guard head.fields.known.has(.host) else {
            guard !head.isHTTP11 else { throw .bad("There is no Host field.") }
            if target.authority.isEmpty { return (HostPlace.none, .empty) }
            return (try HostPlace(of: &head.fields, target.authority.range), target.authority)
        }
        guard let field = head.fields.only(.host) else {
            throw .bad("There is more than one Host field.")
        }
        if field.valuePlace.isEmpty {
            // Lawful where the URL has no host (RFC 9110 §7.2). Where the target has one, that takes the
            // place of the field (RFC 9112 §3.2.2).
            if target.authority.isEmpty { return (HostPlace.none, .empty) }
            return (try HostPlace(of: &head.fields, target.authority.range), target.authority)
        }
        let host = try HostPlace(of: &head.fields, field.value)
        if !target.authority.isEmpty {
            let other = try HostName(parsing: head.fields.bytes[target.authority.range])
            guard try HostName(parsing: head.fields.bytes[field.value]) == other else {
                throw .bad("The URL in the request line names another host than Host does.")
            }
        }
        return (host, field.valuePlace)
    }

    private static func expectsContinue(_ head: borrowing RequestHead) throws(HeadFault) -> Bool {
        guard head.fields.known.has(.expect) else { return false }
        let expectations = head.fields.tokens("expect")
        // An HTTP/1.0 client can't wait for an interim answer (RFC 9110 §10.1.1).
        if expectations.isEmpty || !head.isHTTP11 { return false }
        guard expectations == ["100-continue"] else {
            throw HeadFault(
                status: 417, sentence: "The Expect field asks for more than 100-continue.")
        }
        return true
    }
}

/// A host and port among the bytes of a head.
private struct HostPlace: Sendable {
    let name: ByteRange
    /// The port, 0 for none.
    let port: UInt16
    let isIPv6: Bool

    static let none = HostPlace(name: .empty, port: 0, isIPv6: false)

    private init(name: ByteRange, port: UInt16, isIPv6: Bool) {
        self.name = name
        self.port = port
        self.isIPv6 = isIPv6
    }

    /// Reads it; what is not plain and in lower case already is put behind the head.
    init(of fields: inout FieldList, _ text: Range<Int>) throws(HeadFault) {
        if let plain = HostName.plainName(fields.bytes.span, text) {
            self.init(name: ByteRange(plain.name), port: plain.port, isIPv6: false)
            return
        }
        let host = try HostName(parsing: fields.bytes[text])
        self.init(
            name: fields.append(host.name.utf8), port: host.port ?? 0, isIPv6: host.isIPv6)
    }
}

/// A path and query among the bytes of a head.
private struct TargetPlace: Sendable {
    /// The canonical path, by which the route is chosen.
    let path: ByteRange
    /// The path that goes on; the same place where it is canonical already.
    let sentPath: ByteRange
    var query: ByteRange
    var hasQuery: Bool
    let hasEscapedSlash: Bool
    let hasOtherReadings: Bool
    /// Host and port of an absolute target, else empty.
    let authority: ByteRange

    static let none = TargetPlace()

    private init() {
        path = .empty
        sentPath = .empty
        query = .empty
        hasQuery = false
        hasEscapedSlash = false
        hasOtherReadings = false
        authority = .empty
    }

    /// Reads it; what differs from what was sent is put behind the head.
    init(of head: inout RequestHead, isAsterisk: Bool) throws(HeadFault) {
        let place = head.targetPlace.range
        if head.isTargetASCII, !isAsterisk,
            let mark = RequestTarget.canonicalPathEnd(head.fields.bytes.span, place)
        {
            path = ByteRange(place.lowerBound..<mark)
            sentPath = path
            hasQuery = mark < place.upperBound
            query = hasQuery ? ByteRange(mark + 1..<place.upperBound) : .empty
            hasEscapedSlash = false
            hasOtherReadings = false
            authority = .empty
            return
        }
        let target = try RequestTarget(parsing: isAsterisk ? [Octet.slash][...] : head.target)
        path = head.fields.append(target.path)
        sentPath = target.sentPath == target.path ? path : head.fields.append(target.sentPath)
        hasEscapedSlash = target.hasEscapedSlash
        hasOtherReadings = target.hasOtherReadings
        hasQuery = target.query != nil
        query = head.fields.append(target.query ?? [])
        authority = head.fields.append(target.authority ?? [])
    }
}

extension FieldList {
    /// Puts bytes behind the head.
    fileprivate mutating func append(_ derived: some Collection<UInt8>) -> ByteRange {
        let start = bytes.count
        bytes.append(contentsOf: derived)
        return ByteRange(start..<bytes.count)
    }
}
