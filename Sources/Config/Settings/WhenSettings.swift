// SPDX-License-Identifier: Apache-2.0

/// What requests of a route have to be beside their host and path.
public struct WhenSettings: Sendable, Equatable {
    /// A name and what its value has to be: a text in which `*` stands for anything.
    public struct Condition: Sendable, Equatable {
        /// The name of the field or parameter.
        public var name: String
        /// What its value has to be.
        public var value: String
    }

    /// Whether they ask for a WebSocket, or must not; both where it is nil.
    public var upgrade: Bool?
    /// Their methods; any where there is none.
    public var methods: [String] = []
    /// Fields that they have once.
    public var fields: [Condition] = []
    /// Parameters that their query has once.
    public var query: [Condition] = []

    /// No condition.
    public init() {}
}

extension RouteSettings {
    /// What the route is called in the log, in metrics and by commands: host and path, and what else it asks for.
    public var name: String {
        let pattern = (host ?? "") + path
        var words: [String] = []
        if !listen.isEmpty { words.append("listen=" + listen.sorted().joined(separator: "+")) }
        if let upgrade = when.upgrade { words.append("upgrade=\(upgrade)") }
        if !when.methods.isEmpty {
            words.append("methods=" + when.methods.sorted().joined(separator: "+"))
        }
        for field in when.fields.sorted(by: { $0.name < $1.name }) {
            words.append("\(field.name)=\(field.value)")
        }
        for parameter in when.query.sorted(by: { $0.name < $1.name }) {
            words.append("?\(parameter.name)=\(parameter.value)")
        }
        if words.isEmpty { return pattern }
        // One word of a log line, and another one for each route.
        let plain = words.map { word in
            word.replacing("%", with: "%25").replacing(" ", with: "%20")
                .replacing(",", with: "%2C")
        }
        return "\(pattern)[\(plain.joined(separator: ","))]"
    }
}
