// SPDX-License-Identifier: Apache-2.0

/// An answer that a route always gives.
public struct RespondSettings: Sendable, Equatable {
    /// The status: 200 to 599.
    public var status = 200
    /// The text that is sent as the body.
    public var body = ""
    /// The value of the answer's `Content-Type`.
    public var type = "text/plain; charset=utf-8"

    /// What holds where a file says nothing of it.
    public init() {}
}

/// Where a route points to.
public struct RedirectSettings: Sendable, Equatable {
    /// What stands in front of the path, `https://example.com`; empty for the same origin.
    public var origin: String
    /// The path pattern that takes the place of the request's: `/new` or `/new/*`.
    public var path: String
    /// The status: 301, 302, 303, 307 or 308.
    public var status = 308

    /// A redirect to `origin` (`https://example.com`, or empty for the same origin) and `path`.
    public init(origin: String, path: String) {
        self.origin = origin
        self.path = path
    }
}

/// What is changed in the fields of a message, in this order: removed, set, added.
public struct FieldSettings: Sendable, Equatable {
    /// A field's name and value.
    public struct Field: Sendable, Equatable {
        /// The field's name (RFC 9110 §5.1), as it was written in the file.
        public var name: String
        /// The field's value, without its line end.
        public var value: FieldValue

        /// A field to set or to add, by name and value.
        public init(name: String, value: FieldValue) {
            self.name = name
            self.value = value
        }
    }

    /// Names of fields that are dropped.
    public var remove: [String]
    /// Fields that replace all of their name.
    public var set: [Field]
    /// Fields that stand beside those of their name.
    public var add: [Field]

    /// No changes, or these.
    public init(remove: [String] = [], set: [Field] = [], add: [Field] = []) {
        self.remove = remove
        self.set = set
        self.add = add
    }
}

/// Which `Host` the upstream sees.
public enum HostSettings: Sendable, Equatable {
    /// The upstream sees the client's `Host`.
    case keep
    /// The upstream sees the endpoint's own host and port.
    case upstream
    /// The upstream always sees this host.
    case name(String)
}

/// The policy that browsers use https only (RFC 6797).
public struct TransportSecuritySettings: Sendable, Equatable {
    /// How long browsers keep to it.
    public var maxAge: Duration
    /// Whether it holds for all names below.
    public var includeSubdomains = false
    /// Whether browsers may ship with it.
    public var preload = false

    /// A policy that lasts `maxAge`, without subdomains and preloading.
    public init(maxAge: Duration) { self.maxAge = maxAge }

    /// The value of `Strict-Transport-Security` (RFC 6797 §6.1).
    public var value: String {
        "max-age=\(maxAge.components.seconds)" + (includeSubdomains ? "; includeSubDomains" : "")
            + (preload ? "; preload" : "")
    }
}
