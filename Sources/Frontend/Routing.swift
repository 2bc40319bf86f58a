// SPDX-License-Identifier: Apache-2.0
public import Reactor
public import Router
import Synchronization
public import Wire

/// Which requests go where: an immutable snapshot that all reactors share and that is swapped whole.
public final class Routing: Sendable {
    /// What finds a route by host and path.
    public let table: RouteTable
    /// The routes, in the order of the table's entries.
    public let routes: [Route]

    /// Puts a table and its routes together.
    public init(table: RouteTable, routes: [Route]) {
        precondition(table.count == routes.count)
        self.table = table
        self.routes = routes
    }
}

/// What holds for the requests of one route.
public struct Route: Sendable {
    /// The pattern as people wrote it: `*.example.com/chat/*`.
    public let name: String
    /// Who serves it.
    public let upstream: EndpointGroup
    /// Which pages may open it (RFC 6455 §10.2).
    public let origins: OriginRule
    /// Payload bytes that one message may have.
    public let messageBytesMax: UInt64

    /// A route of these values.
    public init(
        name: String, upstream: EndpointGroup, origins: OriginRule = .same,
        messageBytesMax: UInt64 = .max
    ) {
        self.name = name
        self.upstream = upstream
        self.origins = origins
        self.messageBytesMax = messageBytesMax
    }
}

/// An upstream: its endpoints, and who of them is next.
public final class EndpointGroup: Sendable {
    /// The endpoints, in the order that `picker` counts them.
    public let endpoints: [Endpoint]
    /// Chooses among them, and remembers who failed.
    public let picker: Upstream

    /// A group that balances in the given manner.
    public init(
        name: String, endpoints: [Endpoint], balance: Balance, cooldownMilliseconds: UInt64 = 10_000
    ) {
        self.endpoints = endpoints
        picker = Upstream(
            name: name, endpointCount: endpoints.count, balance: balance,
            cooldownMilliseconds: cooldownMilliseconds)
    }
}

/// One place where an app listens, and the addresses its name stands for at present.
public final class Endpoint: Sendable {
    /// The endpoint as people wrote it: `ws://localhost:3000`.
    public let label: String
    /// The name that is looked up; nil for an address or a socket file, which need no look-up.
    public let host: String?
    /// The TCP port; 0 for a socket file.
    public let port: UInt16
    private let current: Mutex<[Address]>

    /// An endpoint whose address is known.
    public init(label: String, address: Address) {
        self.label = label
        host = nil
        port = address.port
        current = Mutex([address])
    }

    /// An endpoint with a name, without addresses until `addresses` is set.
    public init(label: String, host: String, port: UInt16) {
        self.label = label
        self.host = host
        self.port = port
        current = Mutex([])
    }

    /// Where to connect, in the order to try; empty while the name does not resolve.
    ///
    /// Asked once per connection, set by whoever looks names up off the reactors.
    public var addresses: [Address] {
        get { current.withLock { $0 } }
        set { current.withLock { $0 = newValue } }
    }
}
