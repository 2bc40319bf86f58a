// SPDX-License-Identifier: Apache-2.0
public import Foundation

extension LoadSummary {
    /// Reads a report that this or an older version has written: what that one did not know yet is as in a summary of
    /// nothing.
    ///
    /// - Throws: `LoadFault`, whose sentence completes "FILE: ".
    public init(json data: Data) throws(LoadFault) {
        let none = LoadFault(
            "this is no report of sluice load; write one by `sluice load URL --json FILE`")
        guard let read = (try? JSONSerialization.jsonObject(with: data)) as? [String: Any],
            let version = read["version"] as? Int, read["mode"] is String,
            read["latencyMicroseconds"] is [String: Any]
        else { throw none }
        guard version <= LoadSummary().version else {
            throw LoadFault(
                "this report has the form \(version), and this program reads forms up to \(LoadSummary().version): it"
                    + " was written by a newer Sluice")
        }
        do {
            let whole = Self.completed(read, by: try Self.object(LoadSummary()))
            self = try JSONDecoder().decode(
                LoadSummary.self, from: JSONSerialization.data(withJSONObject: whole))
        } catch {
            throw none
        }
    }

    private static func object(_ value: some Encodable) throws -> [String: Any] {
        let data = try JSONEncoder().encode(value)
        return try JSONSerialization.jsonObject(with: data) as? [String: Any] ?? [:]
    }

    /// Adds what an object lacks.
    private static func completed(
        _ read: [String: Any], by none: [String: Any]
    ) -> [String: Any] {
        var whole = none
        for (key, value) in read {
            if let object = value as? [String: Any] {
                whole[key] = completed(object, by: none[key] as? [String: Any] ?? usual(key))
            } else if let list = value as? [[String: Any]] {
                let empty = (try? element(of: key)) ?? [:]
                whole[key] = list.map { completed($0, by: empty) }
            } else {
                whole[key] = value
            }
        }
        return whole
    }

    /// What stands for a key that is nil by default: in a time and in a storm.
    private static func usual(_ key: String) -> [String: Any] {
        if key == "storm" { return (try? object(Storm())) ?? [:] }
        return key.hasSuffix("Microseconds") ? (try? object(Latency())) ?? [:] : [:]
    }

    /// What an element of a list has if nothing is said.
    private static func element(of key: String) throws -> [String: Any] {
        switch key {
        case "runs":
            try object(
                Run(seconds: 0, perSecond: 0, latencyMicroseconds: Latency(), errors: 0))
        case "intervals":
            try object(
                Interval(
                    opened: 0, failed: 0, sent: 0, received: 0, errors: 0, p50: 0, p99: 0, max: 0,
                    buckets: []))
        default: [:]
        }
    }
}
