// SPDX-License-Identifier: Apache-2.0
import Wire

extension FuzzTarget {
    /// `traceparent` and `tracestate` are read as plainly, and what is written is read back (W3C Trace Context §3).
    ///
    /// The first line of an input is a `traceparent`, each further one a `tracestate`.
    static let traceContext = FuzzTarget(
        name: "trace-context", inputBytesMax: 1_200,
        words: [
            "00-", "-01", "-00", "ff-", "cc-", "4bf92f3577b34da6a3ce929d0e0e4736",
            "00f067aa0ba902b7", "0000000000000000", "\n", ",", "=", "rojo=", "a@b=", " ", "\t",
        ].map { Array($0.utf8) },
        seeds: [
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\nrojo=1,congo=t61",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03-more\na=1\nb=2",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01\n=",
            "\n" + (1...32).map { "k\($0)=v" }.joined(separator: ", "),
            "\na=" + String(repeating: "x", count: 256), "",
        ].map { Array($0.utf8) }
    ) { bytes throws(BrokenProperty) in
        let lines = Array(bytes).split(
            separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        let first = Array(lines.first ?? [])
        let parent = TraceParent(parsing: first.span)
        try requireEqual(parent, plainParent(first), "The parent is read as plainly.")
        if let parent {
            var writer = HeadWriter()
            writer.field(parent)
            let written = writer.bytes
            let value = Array(written.dropFirst("traceparent: ".utf8.count).dropLast(2))
            try requireEqual(
                TraceParent(parsing: value.span), parent, "What is written is read back.")
        }
        guard let fields = fields(of: lines) else { return }
        let states = fields.all("tracestate").map { Array($0) }
        try requireEqual(
            fields.hasSoundTraceState, plainlySound(states), "The state is judged as plainly.")
        if first == Array(fields.all("traceparent").first ?? []) {
            try requireEqual(fields.traceParent, parent, "It is found by its name.")
        }
    }

    /// The fields of a head with these lines; nil where it is none.
    private static func fields(of lines: [ArraySlice<UInt8>]) -> FieldList? {
        var head = Array("GET / HTTP/1.1\r\nHost: a\r\n".utf8)
        for (index, line) in lines.enumerated() {
            head += Array((index == 0 ? "traceparent: " : "TraceState: ").utf8) + line + [13, 10]
        }
        head += [13, 10]
        var parser = RequestHeadParser(
            limits: HeadLimits(bytesMax: 20_000, fieldsMax: 2_000, targetBytesMax: 100))
        let progress = head.withUnsafeBytes { parser.append($0) }
        guard case .complete(let made, let taken) = progress, taken == head.count else {
            return nil
        }
        return made.fields
    }

    /// The same by text and numbers.
    private static func plainParent(_ bytes: [UInt8]) -> TraceParent? {
        guard bytes.count >= 55, bytes.prefix(55).allSatisfy({ $0 < 0x80 }) else { return nil }
        let text = String(decoding: bytes.prefix(55), as: UTF8.self)
        let known = text.split(separator: "-", omittingEmptySubsequences: false)
        guard known.map(\.count) == [2, 32, 16, 2],
            known.joined().allSatisfy({ "0123456789abcdef".contains($0) }), known[0] != "ff"
        else { return nil }
        let rest = bytes.dropFirst(55)
        guard rest.isEmpty || known[0] != "00" && rest.first == UInt8(ascii: "-") else {
            return nil
        }
        guard let high = UInt64(known[1].prefix(16), radix: 16),
            let low = UInt64(known[1].suffix(16), radix: 16), (high, low) != (0, 0),
            let span = UInt64(known[2], radix: 16), span != 0,
            let flags = UInt8(known[3], radix: 16)
        else { return nil }
        return TraceParent(
            trace: TraceID(high: high, low: low), span: span,
            flags: TraceFlags(rawValue: flags & (known[0] == "00" ? 3 : 1)))
    }

    private static func plainlySound(_ values: [[UInt8]]) -> Bool {
        guard values.reduce(0, { $0 + $1.count }) <= 512 else { return false }
        var members: [[UInt8]] = []
        for value in values {
            for part in value.split(separator: 0x2C) {
                var member = Array(part.drop { $0 == 0x20 || $0 == 0x09 })
                while member.last == 0x20 || member.last == 0x09 { member.removeLast() }
                if !member.isEmpty { members.append(member) }
            }
        }
        let keys = Set("abcdefghijklmnopqrstuvwxyz0123456789_-*/@".utf8)
        return (1...32).contains(members.count)
            && members.allSatisfy { member in
                let parts = member.split(separator: 0x3D, omittingEmptySubsequences: false)
                return parts.count == 2 && (1...256).contains(parts[0].count)
                    && (1...256).contains(parts[1].count) && parts[0].allSatisfy(keys.contains)
                    && parts[1].allSatisfy { (0x20...0x7E).contains($0) }
            }
    }
}
