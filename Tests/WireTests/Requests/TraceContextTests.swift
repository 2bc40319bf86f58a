// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Wire

/// `traceparent` and `tracestate` as W3C Trace Context has them.
struct TraceContextTests {
    private static let trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    private static let span = "00f067aa0ba902b7"

    private func fields(_ lines: String...) throws -> FieldList {
        var parser = RequestHeadParser(
            limits: HeadLimits(bytesMax: 20_000, fieldsMax: 100, targetBytesMax: 1_000))
        let text = "GET / HTTP/1.1\r\nHost: a\r\n" + lines.map { $0 + "\r\n" }.joined() + "\r\n"
        let progress = Array(text.utf8).withUnsafeBytes { parser.append($0) }
        guard case .complete(let head, _) = progress else {
            throw HeadFault(status: 400, sentence: "no head")
        }
        return head.fields
    }

    private func parent(_ text: String) -> TraceParent? {
        TraceParent(parsing: Array(text.utf8).span)
    }

    @Test func `a value is read, and written as it was`() throws {
        let text = "00-\(Self.trace)-\(Self.span)-01"
        let parent = try #require(self.parent(text))
        #expect(parent.trace == TraceID(high: 0x4bf9_2f35_77b3_4da6, low: 0xa3ce_929d_0e0e_4736))
        #expect(parent.trace.description == Self.trace)
        #expect(parent.span == 0x00f0_67aa_0ba9_02b7)
        #expect(parent.flags == .sampled)
        var writer = HeadWriter()
        writer.field(parent)
        #expect(writer.bytes == Array("traceparent: \(text)\r\n".utf8))
    }

    @Test(
        arguments: [
            ("00", "00", []), ("00", "01", .sampled), ("00", "02", .random),
            ("00", "03", [.sampled, .random]), ("00", "ff", [.sampled, .random]),
            ("00", "fc", []), ("01", "03", .sampled), ("cc", "02", []),
        ] as [(String, String, TraceFlags)])
    func `flags that are known count`(version: String, digits: String, flags: TraceFlags) {
        #expect(parent("\(version)-\(Self.trace)-\(Self.span)-\(digits)")?.flags == flags)
    }

    @Test(arguments: ["01-T-S-01-more", "fe-T-S-01-", "01-T-S-01"])
    func `of a later version what is known is read`(form: String) {
        let text = form.replacing("T", with: Self.trace).replacing("S", with: Self.span)
        #expect(parent(text)?.trace.description == Self.trace)
    }

    @Test(arguments: [
        "", "00", "00-T-S", "00-T-S-0", "00-T-S-1", "00-T-S-01-", "00-T-S-01-more", "00-T-S-011",
        "ff-T-S-01", "0-T-S-01", "00-T-S-0g", "0x-T-S-01", "00-S-T-01", "00_T_S_01", " 00-T-S-01",
        "00-T-S-01 ", "00-T-S-0\u{e9}", "01-T-S-01.more",
        "00-00000000000000000000000000000000-S-01", "00-T-0000000000000000-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-S-01", "00-T-00F067AA0BA902B7-01",
    ])
    func `anything else counts for nothing`(form: String) {
        let text = form.replacing("T", with: Self.trace).replacing("S", with: Self.span)
        #expect(parent(text) == nil)
    }

    @Test func `every change of one byte is read or refused, and never more`() {
        let text = Array("00-\(Self.trace)-\(Self.span)-01".utf8)
        for place in text.indices {
            for byte in 0...UInt8.max {
                var changed = text
                changed[place] = byte
                guard let read = TraceParent(parsing: changed.span) else { continue }
                #expect(!read.trace.isNone && read.span != 0)
                let isDigit = 0x30...0x39 ~= byte || 0x61...0x66 ~= byte
                #expect(isDigit || byte == text[place])
            }
        }
    }

    @Test func `fields are found by their names, and one that came twice is none`() throws {
        let line = "traceparent: 00-\(Self.trace)-\(Self.span)-01"
        #expect(try fields("TraceParent: 00-\(Self.trace)-\(Self.span)-00").traceParent != nil)
        #expect(try fields(line).traceParent?.flags == .sampled)
        #expect(try fields(line, line).traceParent == nil)
        #expect(try fields().traceParent == nil)
        #expect(try fields("trace-parent: 00-\(Self.trace)-\(Self.span)-01").traceParent == nil)
    }

    @Test(arguments: [
        ["rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"], ["a=1", "b=2"], ["a=1 , b=2,,c=3"],
        ["fw529a3039@dt=FfAyM;x"], ["1a-*/_=~ !"],
        [(1...32).map { "k\($0)=v" }.joined(separator: ",")],
    ])
    func `a sound state goes on`(values: [String]) throws {
        let lines = values.map { "tracestate: \($0)" }
        let list = try lines.count == 1 ? fields(lines[0]) : fields(lines[0], lines[1])
        #expect(list.hasSoundTraceState)
    }

    @Test(arguments: [
        [""], [","], ["a"], ["=1"], ["a="], ["A=1"], ["a=b=c"], ["a b=1"], ["a=\u{e9}"],
        ["a=1", "b"],
        [(1...33).map { "k\($0)=v" }.joined(separator: ",")],
        ["a=" + String(repeating: "x", count: 257)],
        [String(repeating: "x", count: 257) + "=a"],
        ["a=" + String(repeating: "x", count: 250), "b=" + String(repeating: "x", count: 259)],
        [
            "a=" + String(repeating: "x", count: 250) + ",b=" + String(repeating: "x", count: 250)
                + ",c=123456"
        ],
    ])
    func `another one does not`(values: [String]) throws {
        let lines = values.map { "tracestate: \($0)" }
        let list = try lines.count == 1 ? fields(lines[0]) : fields(lines[0], lines[1])
        #expect(!list.hasSoundTraceState)
    }
}
