// SPDX-License-Identifier: Apache-2.0
import TLS
import Wire

/// The head of a question, but for its first line and `Host`, which depend on who is asked.
///
/// It has the fields of the request that it is about, without its body, and says what was asked for: in `X-Forwarded-…`, and
/// in `X-Original-…`, which some servers read instead.
enum ForwardHead {
    static func lines(_ request: borrowing Request, _ rule: ForwardRule) -> [UInt8] {
        let facts = request.stream.facts
        let hop = facts.pointee.hop
        let fields: FieldList
        var authority: [UInt8]
        let port: UInt16?
        let method: [UInt8]
        var uri: [UInt8]
        let query: [UInt8]?
        let isHTTP11: Bool
        if let upgrade = request.upgrade?.request {
            fields = upgrade.head.fields
            authority = upgrade.authority
            port = upgrade.host.port
            method = Array("GET".utf8)
            uri = upgrade.target.sentPath
            query = upgrade.target.query
            isHTTP11 = true
        } else {
            fields = request.asked.head.fields
            authority = request.asked.authority
            port = request.asked.port
            method = Array(request.asked.head.method.utf8)
            uri = request.asked.isAsterisk ? Array("*".utf8) : request.asked.target.sentPath
            query = request.asked.target.query
            isHTTP11 = request.asked.head.isHTTP11
        }
        if let query { uri += Array("?".utf8) + query }
        var writer = HeadWriter(capacity: 512)
        writer.fields(
            of: fields, fields.connectionOptions, except: .hopByHop, folded: UpstreamRequest.ours,
            names: rule.withheld)
        var told = WayTold()
        told.forwarded = false
        Passage.writeLines(
            authority: authority, port: port, isHTTP11: isHTTP11, hop: hop, fields: fields,
            told: told, into: &writer)
        let scheme = hop.trusted.isEmpty ? hop.scheme : Forwarding.scheme(of: fields, hop)
        if !hop.trusted.isEmpty, let said = Forwarding.host(fields)?.name {
            authority = Array((said.isIPv6 ? "[\(said.name)]" : said.name).utf8)
            if let port = said.port { authority += Array(":\(port)".utf8) }
        }
        writer.field("X-Forwarded-Method", method)
        writer.field("X-Forwarded-Uri", uri)
        writer.field("X-Original-Method", method)
        writer.field("X-Original-URL", Array("\(scheme)://".utf8) + authority + uri)
        request.facts.plan?.route.access?.certificate?.write(hop.certificate, into: &writer)
        return writer.bytes
    }

    /// What makes two questions the same: all that is asked, and about whom.
    ///
    /// A grant may depend on anything in a question. Left out is what a client says of itself and of what it takes, in which
    /// its requests differ though they mean the same.
    static func key(_ lines: [UInt8], _ request: borrowing Request) -> [UInt8] {
        var text: [UInt8] = []
        text.reserveCapacity(lines.count + 64)
        for line in lines.split(separator: UInt8(ascii: "\n")) where !isUnkeyed(line) {
            text += line
            text.append(UInt8(ascii: "\n"))
        }
        text += [0] + Array(Passage.text(of: request.facts.client).utf8) + [0]
        text += request.stream.facts.pointee.certificate?.fingerprint ?? []
        return text
    }

    private static let unkeyed: Set<String> = [
        "user-agent", "accept", "accept-charset", "accept-language", "referer", "traceparent",
        "tracestate", "sec-fetch-dest", "sec-fetch-mode", "sec-fetch-site", "sec-fetch-user",
    ]

    private static func isUnkeyed(_ line: ArraySlice<UInt8>) -> Bool {
        let name = line.prefix { $0 != UInt8(ascii: ":") }
        return unkeyed.contains(String(decoding: name, as: UTF8.self).lowercased())
    }
}
