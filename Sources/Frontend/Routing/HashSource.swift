// SPDX-License-Identifier: Apache-2.0
import Reactor
import Router
import Wire

/// What of a request decides where it goes, where an upstream balances by hash.
public enum HashSource: Sendable, Equatable, CustomStringConvertible {
    /// The path as it was asked for, without query.
    case path
    /// The segment of the path that the route gives this name.
    case segment(String)
    /// The value of the first field of this name, which is in lower case.
    case header([UInt8])
    /// The value of the cookie of this name.
    case cookie([UInt8])
    /// Who asks: an IPv4 address, or the network of an IPv6 one.
    case client

    /// Its name, as another process knows it too: `path`, `path:station`, `header:x-user`, `cookie:id`, `client`.
    public var description: String {
        switch self {
        case .path: "path"
        case .segment(let name): "path:" + name
        case .header(let name): "header:" + String(decoding: name, as: UTF8.self)
        case .cookie(let name): "cookie:" + String(decoding: name, as: UTF8.self)
        case .client: "client"
        }
    }

    /// The key of a request; nil where it has no such field or cookie, or an empty one.
    ///
    /// Nothing is allocated for it.
    func key(
        path: Span<UInt8>, fields: FieldList, client: Address, captures: [PathCapture]
    ) -> UInt64? {
        switch self {
        case .segment(let name):
            guard let capture = captures.first(where: { $0.name == name }),
                let range = PathCapture.range(of: capture.segment, in: path), !range.isEmpty
            else { return nil }
            return StableHash.of(path.extracting(range))
        case .path: return StableHash.of(path)
        case .header(let name): return Self.hash(fields.valueRange(name), fields)
        case .cookie(let name): return Self.hash(fields.cookieRange(name), fields)
        case .client: return client.subscriberNumber
        }
    }

    private static func hash(_ range: Range<Int>?, _ fields: FieldList) -> UInt64? {
        guard let range, !range.isEmpty else { return nil }
        return StableHash.of(fields.bytes.span.extracting(range))
    }
}

extension EndpointGroup {
    /// The key of an upgrade.
    func key(of asked: UpgradeAsked, _ client: Address, _ plan: RoutePlan?) -> UInt64? {
        guard let hash else { return nil }
        let path = asked.request.target.path
        return hash.key(
            path: path.span, fields: asked.request.head.fields, client: client,
            captures: plan?.route.captures ?? [])
    }

    /// The key of an ordinary request.
    func key(
        of request: borrowing OrdinaryRequest, _ client: Address, _ plan: RoutePlan
    ) -> UInt64? {
        guard let hash else { return nil }
        let fields = request.head.fields
        let path = fields.bytes.span.extracting(request.pathRange)
        return hash.key(
            path: path, fields: fields, client: client, captures: plan.route.captures)
    }
}
