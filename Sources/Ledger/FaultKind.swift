// SPDX-License-Identifier: Apache-2.0

/// What can be done on purpose to the WebSockets of a route, so that somebody sees how clients take it.
public enum FaultKind: UInt8, Sendable, CaseIterable {
    /// Bytes arrive later.
    case latency
    /// Only so many bytes pass in a second.
    case bandwidth
    /// Nothing passes for a while.
    case stall
    /// The client's connection ends within a frame.
    case cut
    /// The client's connection is reset.
    case reset
    /// A request for a WebSocket is refused.
    case refuse

    /// What the log and metrics call it.
    public var word: String {
        switch self {
        case .latency: "latency"
        case .bandwidth: "bandwidth"
        case .stall: "stall"
        case .cut: "cut"
        case .reset: "reset"
        case .refuse: "refuse"
        }
    }
}

/// The kinds of faults that have acted on one relay or request.
public struct FaultKinds: OptionSet, Sendable {
    /// One bit for each kind, at the kind's number.
    public let rawValue: UInt8
    /// Kinds with the given bits set.
    public init(rawValue: UInt8) { self.rawValue = rawValue }
    /// One kind alone.
    public init(_ kind: FaultKind) { rawValue = 1 << kind.rawValue }

    /// Their names with commas between them, as the log has them; empty for none.
    public var words: String {
        FaultKind.allCases.filter { contains(FaultKinds($0)) }.map(\.word).joined(separator: ",")
    }
}
