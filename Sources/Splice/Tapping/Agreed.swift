// SPDX-License-Identifier: Apache-2.0

/// What the peers of a relay have agreed on in the opening handshake.
///
/// All relays of a reactor that have agreed on the same share one.
public final class Agreed: Sendable, Hashable {
    /// The subprotocol; nil for none (RFC 6455 §1.9).
    public let subprotocol: String?
    /// The extensions with their parameters, as the 101 has them; nil for none (RFC 6455 §9.1).
    public let extensions: String?

    /// What was agreed on.
    public init(subprotocol: String?, extensions: String?) {
        self.subprotocol = subprotocol
        self.extensions = extensions
    }

    /// Neither a subprotocol nor an extension.
    public static let nothing = Agreed(subprotocol: nil, extensions: nil)

    /// Whether permessage-deflate is the one extension, so that RSV1 says what is compressed (RFC 7692 §6).
    public var isDeflate: Bool {
        guard let extensions, !extensions.contains(",") else { return false }
        let name = extensions.prefix { $0 != ";" && $0 != " " }
        return name.lowercased() == "permessage-deflate"
    }

    /// Whether both say the same.
    public static func == (one: Agreed, other: Agreed) -> Bool {
        one.subprotocol == other.subprotocol && one.extensions == other.extensions
    }

    /// Hashes what was agreed on.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(subprotocol)
        hasher.combine(extensions)
    }
}

/// What the relays of one reactor have agreed on, each kept once.
public struct AgreedNames {
    /// How many are kept: peers choose the words, but a server knows few of them.
    static let countMax = 256
    /// What is longer is not kept.
    static let bytesMax = 512

    private var known: Set<Agreed> = []

    /// Nothing is known yet.
    public init() {}

    /// The one for these words; nil where there is no room for another one.
    public mutating func take(subprotocol: String?, extensions: String?) -> Agreed? {
        if subprotocol == nil && extensions == nil { return .nothing }
        guard (subprotocol?.utf8.count ?? 0) + (extensions?.utf8.count ?? 0) <= Self.bytesMax else {
            return nil
        }
        let made = Agreed(subprotocol: subprotocol, extensions: extensions)
        if let index = known.firstIndex(of: made) { return known[index] }
        guard known.count < Self.countMax else { return nil }
        known.insert(made)
        return made
    }
}
