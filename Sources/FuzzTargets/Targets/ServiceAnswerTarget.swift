// SPDX-License-Identifier: Apache-2.0
import Naming

extension FuzzTarget {
    /// An answer of a name server about services is read as a plain reader reads it, and nothing behind
    /// its end is looked at (RFC 1035 §4.1, RFC 2782).
    static let serviceAnswer = FuzzTarget(
        name: "service-answer", inputBytesMax: 512,
        words: [
            [0xC0, 0x0C], [0xC0, 0x00], [0, 33, 0, 1], [0, 5, 0, 1], [0, 1, 0, 1], [0, 0, 0, 60],
            [0, 1, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0], [1, 0x61, 0], [3, 0x77, 0x2E, 0x77, 0],
            [0xFF, 0xFF, 0xFF, 0xFF], [0x3F], [0x40], [0x80],
        ],
        seeds: serviceSeeds
    ) { bytes throws(BrokenProperty) in
        // Memory of its own, so that the address sanitizer sees a read behind it.
        let message = Array(bytes)
        let answer = message.withUnsafeBufferPointer { ServiceAnswer($0) }
        guard let answer else { return }
        guard let plain = PlainServices(message) else {
            throw BrokenProperty("What a plain reader refuses is read: \(answer.records)")
        }
        try requireEqual(answer.ttlSeconds, plain.ttlSeconds, "The shortest time to live is told.")
        try requireEqual(
            answer.records.map { [$0.priority, $0.weight, $0.port] }.sorted(by: precedes),
            plain.records.sorted(by: precedes), "The records are those of the plain reader.")
        for (record, next) in zip(answer.records, answer.records.dropFirst()) {
            try require(
                (record.priority, record.host, record.port)
                    <= (next.priority, next.host, next.port), "Records are sorted: \(record)")
        }
        for record in answer.records {
            try require(
                !record.host.isEmpty && record.port > 0, "A record leads somewhere: \(record)")
            try requireEqual(record.host.lowercased(), record.host, "A host is in lower case.")
        }
    }

    private static let serviceSeeds: [[UInt8]] = {
        let head: [UInt8] = [0, 1, 0x81, 0x80, 0, 1, 0, 2, 0, 0, 0, 0]
        let question: [UInt8] = [3, 0x5F, 0x77, 0x73, 4, 0x54, 0x65, 0x73, 0x74, 0, 0, 33, 0, 1]
        func record(_ type: UInt8, _ content: [UInt8]) -> [UInt8] {
            [0xC0, 12, 0, type, 0, 1, 0, 0, 0, 60, 0, UInt8(content.count)] + content
        }
        let service: [UInt8] = [0, 1, 0, 2, 0x1F, 0x90, 1, 0x42, 0xC0, 16]
        let other: [UInt8] = [0, 0, 0, 0, 0, 80, 1, 0x61, 4, 0x54, 0x65, 0x73, 0x74, 0]
        return [
            head + question + record(33, service) + record(33, other),
            head + question + record(5, [1, 0x61, 0xC0, 16]) + record(33, service),
            head + question + record(33, [0, 1, 0, 2, 0, 1, 0]) + record(1, [127, 0, 0, 1]),
            // A name that points to itself, and a record that ends behind the message.
            head + question + record(33, [0, 1, 0, 2, 0, 1, 0xC0, 44]), head + question,
            head + question + record(33, service).dropLast(3),
        ]
    }()
}

private func precedes(_ left: [UInt16], _ right: [UInt16]) -> Bool {
    left.lexicographicallyPrecedes(right)
}

/// The records of a message, without any haste: what `ServiceAnswer` must agree with where it reads one.
private struct PlainServices {
    /// Priority, weight and port.
    private(set) var records: [[UInt16]] = []
    private(set) var ttlSeconds = UInt32.max
    private let message: [UInt8]
    private var place = 12

    init?(_ message: [UInt8]) {
        self.message = message
        guard message.count >= 12 else { return nil }
        let (questions, answers) = (number(at: 4), number(at: 6))
        for _ in 0..<questions {
            guard skipName() != nil, place + 4 <= message.count else { return nil }
            place += 4
        }
        for _ in 0..<answers {
            guard skipName() != nil, place + 10 <= message.count else { return nil }
            let isService = number(at: place) == 33 && number(at: place + 2) == 1
            let ttl = UInt32(number(at: place + 4)) << 16 | UInt32(number(at: place + 6))
            ttlSeconds = min(ttlSeconds, ttl)
            let end = place + 10 + Int(number(at: place + 8))
            guard end <= message.count else { return nil }
            place += 10
            if isService {
                guard place + 6 <= message.count else { return nil }
                let record = [0, 2, 4].map { number(at: place + $0) }
                place += 6
                guard let isRoot = skipName(), place <= end else { return nil }
                if !isRoot && record[2] > 0 { records.append(record) }
            }
            place = end
        }
    }

    private func number(at index: Int) -> UInt16 {
        UInt16(message[index]) << 8 | UInt16(message[index + 1])
    }

    /// Goes behind a name; says whether it is the name of the root, and nil where it has no end.
    private mutating func skipName() -> Bool? {
        var index = place
        var behind: Int?
        var isRoot = true
        // A pointer leads backwards or to its like: more of them than bytes go round in a circle.
        for _ in 0...message.count {
            guard index < message.count else { return nil }
            let length = Int(message[index])
            if length >= 0xC0 {
                guard index + 1 < message.count else { return nil }
                if behind == nil { behind = index + 2 }
                index = (length & 0x3F) << 8 | Int(message[index + 1])
            } else if length == 0 {
                place = behind ?? index + 1
                return isRoot
            } else {
                // A NUL in a name has ended many a check too early.
                if length == 1, index + 1 < message.count, message[index + 1] == 0 { return nil }
                isRoot = false
                index += 1 + length
            }
        }
        return nil
    }
}
