// SPDX-License-Identifier: Apache-2.0
import Access
import Ledger
import Reactor
import Router
import TLS
import Wire

/// What the values of fields may tell of a request; made for those alone whose route has such fields.
///
/// An object, so that for all others an empty pointer is passed on, and not room for so many values.
final class ToldFacts {
    private let hop: Hop
    private let client: Address
    private let user: String
    private let relay: RelayName
    private let token: ProvenToken?
    /// As it was asked for, or as a trusted proxy says.
    private let host: [UInt8]
    private let scheme: String
    private let port: UInt16
    private let path: [UInt8]

    /// What is known of a request.
    init(_ request: borrowing Request) {
        let fields: FieldList
        let port: UInt16?
        var host: [UInt8]
        if let upgrade = request.upgrade {
            fields = upgrade.request.head.fields
            path = upgrade.request.target.path
            host = Array(upgrade.request.host.name.utf8)
            port = upgrade.request.host.port
        } else {
            fields = request.asked.head.fields
            path = Array(request.asked.bytes[request.asked.pathRange])
            host = Array(request.asked.bytes[request.asked.hostRange])
            port = request.asked.port
        }
        hop = request.stream.facts.pointee.hop
        client = request.facts.client
        user = request.facts.user
        relay = request.facts.relayName
        token = request.facts.token
        var told = port
        if hop.trusted.isEmpty {
            scheme = hop.scheme
        } else {
            scheme = Forwarding.scheme(of: fields, hop)
            if let said = Forwarding.host(fields)?.name {
                host = Array(said.name.utf8)
                told = said.port
            }
            told = Forwarding.port(of: fields) ?? told
        }
        self.host = host
        self.port =
            request.facts.plan?.route.wayTold?.port ?? told
            ?? Hop.usualPort(isSecure: scheme == "https")
    }

    /// A value that may stand in a field; nil where it is not known, is empty, or can't.
    func value(of fact: RequestFact) -> [UInt8]? {
        let value: [UInt8]
        let path = self.path
        switch fact {
        case .client: value = Array(Passage.text(of: client).utf8)
        case .host: value = host
        case .scheme: value = Array(scheme.utf8)
        case .port: value = Array(String(port).utf8)
        case .serverName: value = Array((hop.tls?.serverName ?? "").utf8)
        case .relay: value = Array(relay.description.utf8)
        case .user: value = Array(user.utf8)
        case .claim(let index):
            guard let token, token.told.indices.contains(index) else { return nil }
            value = token.told[index] ?? []
        case .segment(let segment):
            value = PathCapture.range(of: segment, in: path.span).map { Array(path[$0]) } ?? []
        }
        // What a peer has said must not become another line.
        guard !value.isEmpty, !value.contains(where: { $0 < 0x20 || $0 == 0x7F }) else {
            return nil
        }
        return value
    }
}

/// What the fields of an answer tell of its request; an object for the same reason.
final class AnswerTold {
    fileprivate let hop: Hop
    fileprivate let facts: ToldFacts

    private init(_ request: borrowing Request) {
        hop = request.stream.facts.pointee.hop
        facts = ToldFacts(request)
    }

    /// Nil where the route's fields tell nothing of it.
    static func made(by plan: FieldPlan?, of request: RequestPointer) -> AnswerTold? {
        plan?.tellsOfRequest == true ? AnswerTold(request.pointee) : nil
    }
}

extension FieldPlan {
    /// Writes the lines of an answer; those that tell of the request where `told` is there.
    func write(_ told: AnswerTold?, into writer: inout HeadWriter) {
        if let told {
            write(told.hop, told.facts, into: &writer)
        } else {
            writer.append(lines)
        }
    }
}
