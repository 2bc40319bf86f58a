// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Wire

/// Goal: the fields that `Connection` names are found (RFC 9110 §7.6.1), at a cost that grows with the
/// bytes of the head alone: the peer chooses how many fields there are, and how many names.
///
/// Method: steps are counted, never time: bytes hashed or compared, and slots looked at.
@Suite struct ConnectionNamesTests {
    private static let limits = HeadLimits(bytesMax: 8 << 20, fieldsMax: 100_000)

    private static func list(_ lines: [String]) throws -> FieldList {
        try HeadBytes.parse(HeadBytes.lines(["GET / HTTP/1.1"] + lines), limits: limits).fields
    }

    /// What is written of a head, and the steps that it takes.
    private static func write(_ list: FieldList) -> (text: String, steps: Int) {
        var writer = HeadWriter()
        var named = ConnectionNames(list, list.connectionOptions)
        writer.fields(of: list, except: [], folded: [], names: FieldNames(), &named)
        return (String(decoding: writer.bytes, as: UTF8.self), named.stepCount)
    }

    @Test func `what is named is left out, and nothing else`() throws {
        let list = try Self.list([
            "Connection: X-A ,close,\tkeep-alive, x-a", "x-b: 1", "X-a: 2",
            "connection: Origin, sec-websocket-key, x-C",
            "Origin: 3", "Sec-WebSocket-Key: 4", "X-C: 5", "x-cc: 6", "Close: 7", "x_a: 8",
        ])
        let text = Self.write(list).text
        for kept in ["x-b: 1", "Origin: 3", "Sec-WebSocket-Key: 4", "x-cc: 6", "x_a: 8"] {
            #expect(text.contains(kept + "\r\n"))
        }
        for dropped in ["X-a", "X-C:", "Close:"] { #expect(!text.contains(dropped)) }
        #expect(Self.write(try Self.list(["Connection: keep-alive", "X-A: 1"])).steps == 0)
    }

    /// Heads in which fields and names grow together, by kind.
    private static let shapes: [@Sendable (Int) -> [String]] = [
        // Nothing that is named is there, all of one length.
        { count in
            ["Connection: " + (0..<count).map { "x-\($0 + 1_000_000)" }.joined(separator: ",")]
                + (0..<count).map { "y-\($0 + 1_000_000): a" }
        },
        // Everything that is there is named, last name first.
        { count in
            ["Connection: " + (0..<count).map { "x-\($0)" }.joined(separator: ",")]
                + (0..<count).reversed().map { "X-\($0): a" }
        },
        // As many Connection fields as others.
        { count in (0..<count).flatMap { ["Connection: x-\($0)", "y-\($0): a"] } },
        // One name again and again.
        { count in
            ["Connection: " + (0..<count).map { _ in "x" }.joined(separator: ",")]
                + (0..<count).map { _ in "x: a" }
        },
        // Names longer than the table tells apart by length.
        { count in
            let long = String(repeating: "z", count: 70)
            return ["Connection: " + (0..<count).map { "\(long)\($0)" }.joined(separator: ",")]
                + (0..<count).map { "\(long)a\($0): a" }
        },
        // Names that a simple hash takes for the same: anagrams.
        { count in
            let names = (0..<count).map { index in
                (0..<16).map { index >> $0 & 1 == 0 ? "ab" : "ba" }.joined()
            }
            return ["Connection: " + names.joined(separator: ",")] + names.map { "\($0)x: a" }
                + names.map { "\($0): a" }
        },
    ]

    @Test(arguments: shapes.indices)
    func `a head costs steps by its bytes, not fields times names`(shape: Int) throws {
        for count in [10, 100, 1_000, 10_000] {
            let list = try Self.list(Self.shapes[shape](count))
            let steps = Self.write(list).steps
            // Each byte is hashed once and compared once or twice, and a slot or two looked at.
            #expect(steps <= 4 * list.bytes.count, "\(count): \(steps) of \(list.bytes.count)")
            #expect(steps > 0)
        }
    }

    @Test func `trailers cost by their bytes as well`() throws {
        let list = try Self.list(Self.shapes[0](10_000))
        var named = ConnectionNames(list, list.connectionOptions)
        for field in list.fields {
            _ = list.passes(field, except: [], folded: [], names: FieldNames(), &named)
        }
        #expect(named.stepCount <= 4 * list.bytes.count)
    }
}
