// SPDX-License-Identifier: Apache-2.0
import Ledger
import Reactor
import Router
import Serialization
import Splice
import TLS
import Wire

/// What is written of a tunnel beside its relay: who has it, where it leads, and what it holds.
///
/// Whatever belongs to one process (a route, an endpoint, a listener) stands there by its name.
struct RelayImage {
    /// What the fields mean in this build; a reader that needs more or less of them says so by itself.
    static let version: UInt16 = 1

    enum Number {
        static let version: UInt16 = 1
        static let relay: UInt16 = 2
        static let client: UInt16 = 3
        static let peer: UInt16 = 4
        static let listener: UInt16 = 5
        static let isSecure: UInt16 = 6
        static let accepted: UInt16 = 7
        static let tls: UInt16 = 8
        static let host: UInt16 = 9
        static let path: UInt16 = 10
        static let route: UInt16 = 11
        static let drainsWhenRemoved: UInt16 = 12
        static let upstream: UInt16 = 13
        static let endpoint: UInt16 = 14
        static let key: UInt16 = 15
        static let counted: UInt16 = 16
        static let agreed: UInt16 = 17
        static let trace: UInt16 = 18
        static let hash: UInt16 = 19
        static let user: UInt16 = 20
        static let recheck: UInt16 = 21
        static let tokenSubject: UInt16 = 22
        static let recheckTime: UInt16 = 23
        static let name: UInt16 = 24
    }

    /// Who asked, as a trusted proxy named them.
    let client: Address
    /// Who has connected.
    let peer: Address
    /// The listener's address.
    let listener: Address
    let isSecure: Bool
    let acceptedMilliseconds: UInt64
    let tls: TLSFacts?
    let host: String
    let path: String
    /// Who the client has proven to be; empty where the route did not ask.
    let user: String
    /// The subject of the token that it was opened with; nil where there was none, or where the build that has written it
    /// did not say.
    let tokenSubject: String?
    /// The route's pattern.
    let route: String
    let drainsWhenRemoved: Bool
    /// The name of the upstream at whose endpoint it has a place; empty for none.
    let upstream: String
    /// The endpoint's label.
    let endpoint: String
    /// What it was balanced by; nil where that was not by hash.
    let key: UInt64?
    /// Of what that is the hash, as `HashSource` describes it.
    let hash: String?
    let counted: CountedTraffic
    /// What was agreed on in the handshake; nil where that was not kept.
    let agreed: Agreed?
    /// The trace of its handshake; nil where nothing was traced.
    let trace: TraceSpan?
    /// What another server is asked again; nil where nothing is.
    let recheck: [UInt8]?
    /// When and how often that is asked; nil where it is not, or where that is not known.
    let recheckTime: RecheckTime?
    /// The name that it keeps; none where it has none, or where the build that has written it knows of no names.
    let name: RelayName

    /// What is known of a tunnel.
    init(_ tunnel: TunnelPointer) {
        let facts = tunnel.pointee.facts
        let asked = tunnel.pointee.asked
        client = asked.client
        peer = facts.peer
        listener = facts.listener.address
        isSecure = facts.listener.isSecure
        acceptedMilliseconds = facts.acceptedMilliseconds
        tls = facts.tls
        host = asked.host
        path = asked.path
        user = asked.user
        tokenSubject = asked.tokenSubject
        route = asked.route
        drainsWhenRemoved = asked.plan?.route.drainsWhenRemoved ?? false
        upstream = tunnel.pointee.places.group?.picker.name ?? ""
        endpoint = asked.upstream
        key = asked.key
        hash = asked.key == nil ? nil : asked.plan?.route.upstream?.hash?.description
        counted = tunnel.pointee.counted
        agreed = tunnel.pointee.agreed
        trace = asked.trace?.span
        recheck = tunnel.pointee.recheck?.lines
        recheckTime = tunnel.pointee.recheck.flatMap(RecheckTime.init)
        name = asked.name
    }

    /// Writes it; `relay` writes the relay.
    func write(to writer: inout FieldWriter, relay: (inout FieldWriter) -> Void) {
        writer.put(Number.version, Self.version)
        writer.part(Number.client) { client.write(to: &$0) }
        writer.part(Number.peer) { peer.write(to: &$0) }
        writer.part(Number.listener) { listener.write(to: &$0) }
        writer.put(Number.isSecure, isSecure)
        writer.put(Number.accepted, acceptedMilliseconds)
        if let tls { writer.part(Number.tls) { tls.write(to: &$0) } }
        writer.put(Number.host, host)
        writer.put(Number.path, path)
        writer.put(Number.route, route)
        writer.put(Number.drainsWhenRemoved, drainsWhenRemoved)
        writer.put(Number.upstream, upstream)
        writer.put(Number.endpoint, endpoint)
        if let key { writer.put(Number.key, key, isRequired: false) }
        if let hash { writer.put(Number.hash, hash, isRequired: false) }
        // A build that counts other things counts what passes from then on.
        writer.part(Number.counted, isRequired: false) { counted.write(to: &$0) }
        if let agreed {
            writer.part(Number.agreed, isRequired: false) { agreed.write(to: &$0) }
        }
        if let trace {
            writer.part(Number.trace, isRequired: false) { trace.write(to: &$0) }
        }
        // A build that asks nobody again must not let it go on for ever.
        if let recheck {
            recheck.withUnsafeBytes { writer.put(Number.recheck, bytes: $0) }
        }
        if let recheckTime {
            writer.part(Number.recheckTime, isRequired: false) { recheckTime.write(to: &$0) }
        }
        if !user.isEmpty { writer.put(Number.user, user, isRequired: false) }
        // A build that does not know it compares later tokens with the user.
        if let tokenSubject { writer.put(Number.tokenSubject, tokenSubject, isRequired: false) }
        if !name.isNone { writer.put(Number.name, name.bits, isRequired: false) }
        writer.part(Number.relay, relay)
    }

    /// Reads what `write` wrote, but for the relay: `reader` is left where that can be read.
    init(_ reader: inout FieldReader) throws(FieldFault) {
        let _: UInt16 = try reader.integer(Number.version)
        client = try Self.address(Number.client, &reader)
        peer = try Self.address(Number.peer, &reader)
        listener = try Self.address(Number.listener, &reader)
        isSecure = try reader.flag(Number.isSecure)
        acceptedMilliseconds = try reader.integer(Number.accepted)
        if reader.has(Number.tls) {
            var part = try reader.part(Number.tls)
            tls = try TLSFacts(&part)
        } else {
            tls = nil
        }
        host = try reader.text(Number.host)
        path = try reader.text(Number.path)
        user = reader.has(Number.user) ? try reader.text(Number.user) : ""
        tokenSubject =
            reader.has(Number.tokenSubject) ? try reader.text(Number.tokenSubject) : nil
        route = try reader.text(Number.route)
        drainsWhenRemoved = try reader.flag(Number.drainsWhenRemoved)
        upstream = try reader.text(Number.upstream)
        endpoint = try reader.text(Number.endpoint)
        key = try? reader.integer(Number.key)
        hash = try? reader.text(Number.hash)
        // A relay goes on without these: what of them this build does not understand is left out.
        counted =
            Self.optional(Number.counted, &reader) { (part) throws(FieldFault) in
                try CountedTraffic(&part)
            } ?? CountedTraffic()
        agreed = Self.optional(Number.agreed, &reader) { (part) throws(FieldFault) in
            try Agreed(&part)
        }
        trace = Self.optional(Number.trace, &reader) { (part) throws(FieldFault) in
            try TraceSpan(&part)
        }
        recheck = reader.has(Number.recheck) ? [UInt8](try reader.bytes(Number.recheck)) : nil
        recheckTime = Self.optional(Number.recheckTime, &reader) { (part) throws(FieldFault) in
            try RecheckTime(&part)
        }
        name = RelayName(bits: (try? reader.integer(Number.name)) ?? 0)
        _ = try reader.bytes(Number.relay)
        try reader.finish()
    }

    /// What `make` reads of a part; nil where there is none, or one of another build.
    private static func optional<Value>(
        _ number: UInt16, _ reader: inout FieldReader,
        _ make: (inout FieldReader) throws(FieldFault) -> Value
    ) -> Value? {
        guard var part = try? reader.part(number) else { return nil }
        return try? make(&part)
    }

    private static func address(
        _ number: UInt16, _ reader: inout FieldReader
    ) throws(FieldFault) -> Address {
        var part = try reader.part(number)
        return try Address(&part)
    }
}

/// When another server is asked about a relay next, and how often.
struct RecheckTime {
    let dueMilliseconds: UInt64
    let everyMilliseconds: UInt64

    private enum Number {
        static let due: UInt16 = 1
        static let every: UInt16 = 2
    }

    /// A question without an answer is due still.
    init?(_ recheck: Recheck) {
        guard let due = recheck.dueMilliseconds else { return nil }
        dueMilliseconds = due
        everyMilliseconds = recheck.everyMilliseconds
    }

    fileprivate func write(to writer: inout FieldWriter) {
        writer.put(Number.due, dueMilliseconds)
        writer.put(Number.every, everyMilliseconds)
    }

    fileprivate init(_ reader: inout FieldReader) throws(FieldFault) {
        dueMilliseconds = try reader.integer(Number.due)
        let every: UInt64 = try reader.integer(Number.every)
        // Longer ones no configuration has.
        everyMilliseconds = min(every, 86_400_000)
        try reader.finish()
    }
}

extension Agreed {
    private enum Number {
        static let subprotocol: UInt16 = 1
        static let extensions: UInt16 = 2
    }

    fileprivate func write(to writer: inout FieldWriter) {
        if let subprotocol { writer.put(Number.subprotocol, subprotocol) }
        if let extensions { writer.put(Number.extensions, extensions) }
    }

    fileprivate convenience init(_ reader: inout FieldReader) throws(FieldFault) {
        let subprotocol =
            reader.has(Number.subprotocol) ? try reader.text(Number.subprotocol) : nil
        let extensions = reader.has(Number.extensions) ? try reader.text(Number.extensions) : nil
        try reader.finish()
        self.init(subprotocol: subprotocol, extensions: extensions)
    }
}

extension TraceSpan {
    private enum Number {
        static let high: UInt16 = 1
        static let low: UInt16 = 2
        static let span: UInt16 = 3
        static let parent: UInt16 = 4
        static let began: UInt16 = 5
        static let flags: UInt16 = 6
        static let passesState: UInt16 = 7
    }

    fileprivate func write(to writer: inout FieldWriter) {
        writer.put(Number.high, trace.high)
        writer.put(Number.low, trace.low)
        writer.put(Number.span, span)
        writer.put(Number.parent, parent)
        writer.put(Number.began, beganNanoseconds)
        writer.put(Number.flags, flags.rawValue)
        writer.put(Number.passesState, passesState)
    }

    fileprivate init(_ reader: inout FieldReader) throws(FieldFault) {
        self.init()
        let high: UInt64 = try reader.integer(Number.high)
        trace = TraceID(high: high, low: try reader.integer(Number.low))
        span = try reader.integer(Number.span)
        parent = try reader.integer(Number.parent)
        beganNanoseconds = try reader.integer(Number.began)
        flags = TraceFlags(rawValue: try reader.integer(Number.flags))
        passesState = try reader.flag(Number.passesState)
        try reader.finish()
    }
}

extension CountedTraffic {
    private enum Number {
        static let upFrames: UInt16 = 1
        static let upPayloadBytes: UInt16 = 2
        static let downFrames: UInt16 = 3
        static let downPayloadBytes: UInt16 = 4
    }

    fileprivate func write(to writer: inout FieldWriter) {
        writer.put(Number.upFrames, up.frames)
        writer.put(Number.upPayloadBytes, up.payloadBytes)
        writer.put(Number.downFrames, down.frames)
        writer.put(Number.downPayloadBytes, down.payloadBytes)
    }

    fileprivate init(_ reader: inout FieldReader) throws(FieldFault) {
        self.init()
        up.frames = try reader.integer(Number.upFrames)
        up.payloadBytes = try reader.integer(Number.upPayloadBytes)
        down.frames = try reader.integer(Number.downFrames)
        down.payloadBytes = try reader.integer(Number.downPayloadBytes)
        try reader.finish()
    }
}

extension TLSFacts {
    private enum Number {
        static let version: UInt16 = 1
        static let cipher: UInt16 = 2
        static let group: UInt16 = 3
        static let serverName: UInt16 = 4
        static let applicationProtocol: UInt16 = 5
        static let isResumed: UInt16 = 6
    }

    fileprivate func write(to writer: inout FieldWriter) {
        writer.put(Number.version, version.rawValue)
        writer.put(Number.cipher, cipher)
        writer.put(Number.group, group)
        if let serverName { writer.put(Number.serverName, serverName) }
        if let applicationProtocol {
            writer.put(Number.applicationProtocol, applicationProtocol)
        }
        writer.put(Number.isResumed, isResumed)
    }

    fileprivate init(_ reader: inout FieldReader) throws(FieldFault) {
        guard let version = TLSVersion(rawValue: try reader.integer(Number.version)) else {
            throw .outOfRange(Number.version)
        }
        let cipher: UInt16 = try reader.integer(Number.cipher)
        let group: UInt16 = try reader.integer(Number.group)
        let serverName = reader.has(Number.serverName) ? try reader.text(Number.serverName) : nil
        let chosen =
            reader.has(Number.applicationProtocol)
            ? try reader.text(Number.applicationProtocol) : nil
        let isResumed = try reader.flag(Number.isResumed)
        try reader.finish()
        self.init(
            version: version, cipher: cipher, group: group, serverName: serverName,
            applicationProtocol: chosen, isResumed: isResumed)
    }
}
