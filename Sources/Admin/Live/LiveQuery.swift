// SPDX-License-Identifier: Apache-2.0

/// Which live relays somebody wants to see, in which order, and how many.
public struct LiveQuery: Codable, Sendable, Equatable {
    /// What is greater comes first.
    public enum Order: String, Codable, Sendable, CaseIterable {
        /// By bytes in a second, then by bytes since they have opened.
        case busiest
        /// Those that have opened last.
        case newest
        /// Those that have opened first.
        case oldest
        /// By messages since they have opened.
        case messages
        /// By payload bytes since they have opened.
        case bytes
        /// By the last round trip of a Ping to the client.
        case roundTrip
    }

    /// How many relays are listed at most.
    public static let limitMax = 1_000
    /// How many routes are listed at most.
    public static let routesMax = 200
    /// How many endpoints are listed at most.
    public static let endpointsMax = 500
    /// How many clients are listed at most.
    public static let clientsMax = 20
    /// How many ways to end are listed at most.
    public static let closesMax = 20
    /// How many certificates of a listener are listed at most.
    public static let certificatesMax = 10
    /// How long a filter may be, in bytes.
    public static let filterBytesMax = 256

    /// Words that all have to be found in a relay's id, client, route, path, endpoint or protocol, in any case of
    /// letters; empty for all relays.
    public var filter = ""
    /// Which come first.
    public var order = Order.busiest
    /// How many relays are listed; 0 for none.
    public var limit = 200

    /// All relays, the busiest first.
    public init() {}

    private enum CodingKeys: String, CodingKey {
        case filter
        case order = "sort"
        case limit
    }

    /// Reads what a dashboard sends; what it leaves out is as in a new one.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        let given = LiveQuery()
        filter = try container.decodeIfPresent(String.self, forKey: .filter) ?? given.filter
        order = try container.decodeIfPresent(Order.self, forKey: .order) ?? given.order
        limit = try container.decodeIfPresent(Int.self, forKey: .limit) ?? given.limit
        guard filter.utf8.count <= Self.filterBytesMax, (0...Self.limitMax).contains(limit) else {
            throw DecodingError.dataCorrupted(
                DecodingError.Context(
                    codingPath: [], debugDescription: "a filter or a limit out of bounds"))
        }
    }
}
