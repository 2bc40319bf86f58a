// SPDX-License-Identifier: Apache-2.0
public import Reactor
public import Router
import Synchronization

/// One place where an app listens, and the addresses its name stands for at present.
public final class Endpoint: Sendable {
    /// What people call the endpoint: by the name that they gave it, or as they wrote it, `ws://localhost:3000`.
    public let label: String
    /// The endpoint's address as people wrote it; its label, unless it has a name.
    public let url: String
    /// The name that is looked up; nil for an address or a socket file, which need no look-up.
    public let host: String?
    /// The TCP port; 0 for a socket file.
    public let port: UInt16
    /// Host and port as a `Host` field names them; `localhost` for a socket file.
    public let authority: String
    /// What runs on it, and how it is.
    public let load = EndpointLoad()
    /// Whether the log has it already that its 101s choose a subprotocol that they may not.
    private let hasSubprotocolRemark = Atomic<Bool>(false)
    private let current: Mutex<[Address]>
    private let failures = Atomic<UInt64>(0)
    private let ejections = Atomic<UInt64>(0)

    /// An endpoint whose address is known; `authority` where that is not the label's.
    ///
    /// Each of them has a `name` where it is called something else than the label.
    public init(
        label: String, address: Address, authority: String? = nil, name: String? = nil
    ) {
        url = label
        self.label = name ?? label
        self.authority = authority ?? Self.authority(label)
        host = nil
        port = address.port
        current = Mutex([address])
    }

    /// An endpoint with a name that needs no look-up.
    public init(label: String, addresses: [Address], port: UInt16, name: String? = nil) {
        url = label
        self.label = name ?? label
        authority = Self.authority(label)
        host = nil
        self.port = port
        current = Mutex(addresses)
    }

    /// An endpoint with a name, without addresses until `addresses` is set.
    public init(label: String, host: String, port: UInt16, name: String? = nil) {
        url = label
        self.label = name ?? label
        authority = Self.authority(label)
        self.host = host
        self.port = port
        current = Mutex([])
    }

    /// Stands for a name that stands for no endpoint at present: nobody can be sent there.
    public init(unresolved label: String) {
        url = label
        self.label = label
        authority = Self.authority(label)
        host = nil
        port = 0
        current = Mutex([])
    }

    private static func authority(_ label: String) -> String {
        if label.hasPrefix("unix:") { return "localhost" }
        return label.split(separator: "/").last.map(String.init) ?? label
    }

    /// Where to connect, in the order to try; empty while the name does not resolve.
    ///
    /// Asked once per connection, set by whoever looks names up off the reactors.
    public var addresses: [Address] {
        get { current.withLock { $0 } }
        set { current.withLock { $0 = newValue } }
    }

    /// How often it could not be reached, or an upgrade there failed, since it is served.
    public var failureCount: UInt64 { failures.load(ordering: .relaxed) }

    /// Counts a failure.
    public func countFailure() { failures.wrappingAdd(1, ordering: .relaxed) }

    /// How often it was passed over for a while since it had failed.
    public var ejectionCount: UInt64 { ejections.load(ordering: .relaxed) }

    /// Counts that it is passed over from now on.
    public func countEjection() { ejections.wrappingAdd(1, ordering: .relaxed) }

    /// The endpoint as messages name it, which may belong to an upstream of another name.
    public func title(of upstream: String) -> String {
        "The endpoint \(label)" + (upstream == label ? "" : " of \(upstream)")
    }

    /// Whether nothing was said yet of a 101 of its that chooses a subprotocol which it may not; from
    /// now on something was.
    public func takeSubprotocolRemark() -> Bool {
        !hasSubprotocolRemark.exchange(true, ordering: .relaxed)
    }
}
