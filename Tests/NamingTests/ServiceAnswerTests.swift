// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Naming

/// Answers about services are read as RFC 1035 and RFC 2782 have them, and hostile ones harm nobody.
struct ServiceAnswerTests {
    private static func name(_ text: String) -> [UInt8] {
        text.split(separator: ".").flatMap { [UInt8($0.utf8.count)] + Array($0.utf8) } + [0]
    }

    private static func number(_ value: UInt16) -> [UInt8] {
        [UInt8(value >> 8), UInt8(value & 255)]
    }

    private static let question = name("_ws._tcp.app.test")

    private static func message(_ answers: [[UInt8]]) -> [UInt8] {
        let head: [UInt8] = [0, 1, 0x81, 0x80, 0, 1, 0, UInt8(answers.count), 0, 0, 0, 0]
        return head + question + [0, 33, 0, 1] + answers.flatMap { $0 }
    }

    /// A record of the name in the question, to which it points.
    private static func record(
        type: UInt16 = 33, ttl: [UInt8] = [0, 0, 0, 60], _ content: [UInt8]
    ) -> [UInt8] {
        [0xC0, 12] + number(type) + [0, 1] + ttl + number(UInt16(content.count)) + content
    }

    private static func service(
        _ host: [UInt8], port: UInt16, priority: UInt16 = 1, weight: UInt16 = 2
    ) -> [UInt8] {
        number(priority) + number(weight) + number(port) + host
    }

    private func read(_ message: [UInt8]) -> ServiceAnswer? {
        message.withUnsafeBufferPointer { ServiceAnswer($0) }
    }

    @Test func `records come sorted, with the shortest time to live`() throws {
        let answer = try #require(
            read(
                Self.message([
                    Self.record(Self.service(Self.name("b.Test"), port: 2, priority: 9)),
                    Self.record(ttl: [0, 0, 0, 7], Self.service(Self.name("a.test"), port: 1)),
                    Self.record(type: 5, ttl: [0, 0, 1, 0], Self.name("alias.test")),
                ])))
        #expect(
            answer.records == [
                ServiceRecord(host: "a.test", port: 1, priority: 1, weight: 2),
                ServiceRecord(host: "b.test", port: 2, priority: 9, weight: 2),
            ])
        #expect(answer.ttlSeconds == 7)
    }

    /// RFC 1035 §4.1.1: a message has a header of twelve bytes.
    @Test func `a message that ends within its header is none`() {
        let header: [UInt8] = [0, 1, 0x81, 0x80, 0, 0, 0, 0, 0, 0, 0, 0]
        #expect(read(header)?.records == [])
        for count in 0..<header.count { #expect(read(Array(header[..<count])) == nil) }
    }

    /// The name of another host must not be read out of a longer one.
    @Test(
        arguments: [
            [1, 0x61, 1, 0, 4, 0x74, 0x65, 0x73, 0x74, 0], [1, 0, 0], [1, 0, 1, 0x61, 0],
            [1, 0, 0xC0, 12],
        ] as [[UInt8]])
    func `a name with a NUL for a label is refused`(host: [UInt8]) {
        #expect(read(Self.message([Self.record(Self.service(host, port: 1))])) == nil)
    }

    @Test func `a single dot says that there is no such service`() throws {
        let answer = try #require(
            read(Self.message([Self.record(Self.service([0], port: 1))])))
        #expect(answer.records.isEmpty)
    }

    @Test func `a message without answers has no records`() throws {
        #expect(try #require(read(Self.message([]))).records.isEmpty)
    }

    @Test func `a name that points at itself is refused`() {
        let start = UInt8(12 + Self.question.count + 4 + 12 + 6)
        let loop = Self.record(Self.service([0xC0, start], port: 1))
        #expect(read(Self.message([loop])) == nil)
    }

    @Test func `no part of a message is read beyond its end`() {
        let whole = Self.message([
            Self.record(Self.service(Self.name("a.test"), port: 1)),
            Self.record(Self.service(Self.name("b.test"), port: 2)),
        ])
        for count in 0..<whole.count { #expect(read(Array(whole[..<count])) == nil) }
        // Whatever the bytes are, nothing traps.
        var state: UInt64 = 1
        for _ in 0..<20_000 {
            var bytes = whole
            for _ in 0..<4 {
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                bytes[Int(state >> 33) % bytes.count] = UInt8(truncatingIfNeeded: state >> 56)
            }
            _ = read(bytes)
        }
    }
}
