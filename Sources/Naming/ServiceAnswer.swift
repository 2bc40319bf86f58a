// SPDX-License-Identifier: Apache-2.0
import CAres

/// The SRV records of a DNS answer (RFC 1035 §4.1, RFC 2782), with how long they hold.
///
/// c-ares reads the records too, but keeps their time to live to itself.
package struct ServiceAnswer {
    /// The records, sorted by priority, host and port.
    package private(set) var records: [ServiceRecord] = []
    /// The shortest time to live in seconds.
    package private(set) var ttlSeconds = UInt32.max

    private static let typeSRV: UInt16 = 33
    private static let classIN: UInt16 = 1
    private static let headerBytes = 12

    /// Reads a whole message; nil when it is not what it claims to be.
    package init?(_ message: UnsafeBufferPointer<UInt8>) {
        guard message.count >= Self.headerBytes else { return nil }
        var reader = Reader(message: message, place: 4)
        guard let questions = reader.number16(), let answers = reader.number16() else { return nil }
        reader.place = Self.headerBytes
        for _ in 0..<questions {
            guard reader.name() != nil, reader.skip(4) else { return nil }
        }
        for _ in 0..<answers {
            guard reader.name() != nil, let type = reader.number16(), let kind = reader.number16(),
                let high = reader.number16(), let low = reader.number16(),
                let length = reader.number16()
            else { return nil }
            let end = reader.place + Int(length)
            guard end <= message.count else { return nil }
            // Aliases on the way hold no longer than they say either.
            ttlSeconds = min(ttlSeconds, UInt32(high) << 16 | UInt32(low))
            if type == Self.typeSRV && kind == Self.classIN {
                guard let priority = reader.number16(), let weight = reader.number16(),
                    let port = reader.number16(), let host = reader.name(), reader.place <= end
                else { return nil }
                // A single dot: there is no such service here.
                if !host.isEmpty && port > 0 {
                    records.append(
                        ServiceRecord(host: host, port: port, priority: priority, weight: weight))
                }
            }
            reader.place = end
        }
        records.sort { ($0.priority, $0.host, $0.port) < ($1.priority, $1.host, $1.port) }
    }

    private struct Reader {
        let message: UnsafeBufferPointer<UInt8>
        var place: Int

        mutating func skip(_ count: Int) -> Bool {
            place += count
            return place <= message.count
        }

        mutating func number16() -> UInt16? {
            guard place + 2 <= message.count else { return nil }
            defer { place += 2 }
            return UInt16(message[place]) << 8 | UInt16(message[place + 1])
        }

        /// A name in lower case, without the dot at its end.
        mutating func name() -> String? {
            guard place < message.count, let start = message.baseAddress else { return nil }
            var text: UnsafeMutablePointer<CChar>?
            var length = 0
            let code = ares_expand_name(start + place, start, Int32(message.count), &text, &length)
            guard code == ARES_SUCCESS, let text else { return nil }
            defer { ares_free_string(text) }
            if hasLabelOfNul(place) { return nil }
            place += length
            let name = String(cString: text).lowercased()
            return name.hasSuffix(".") ? String(name.dropLast()) : name
        }

        /// Whether a label of a name is a single NUL.
        ///
        /// c-ares escapes a NUL everywhere but there, where it would end the text before the name ends.
        /// That the name has an end within the message, c-ares has seen to.
        private func hasLabelOfNul(_ start: Int) -> Bool {
            var index = start
            while message[index] != 0 {
                let length = Int(message[index])
                if length >= 0xC0 {
                    index = (length & 0x3F) << 8 | Int(message[index + 1])
                } else if length == 1 && message[index + 1] == 0 {
                    return true
                } else {
                    index += 1 + length
                }
            }
            return false
        }
    }
}
