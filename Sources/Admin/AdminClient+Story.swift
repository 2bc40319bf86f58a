// SPDX-License-Identifier: Apache-2.0
public import Foundation
import Reactor
import Wire

/// How an answer that is written as it comes to be has ended.
public enum AdminStoryEnd: Sendable {
    /// Whoever writes has ended it.
    case whole
    /// The connection has ended amid it: the process is gone.
    case cut
    /// Whoever reads wants no more.
    case left
    /// There is none: another answer was given.
    case refused(AdminReply)
}

extension AdminClient {
    /// How often one that waits looks at whether it still has to.
    private static let lookMilliseconds: UInt64 = 50

    /// Asks for an answer that is written as it comes to be, and reads it to its end.
    ///
    /// - Parameters:
    ///   - target: the path with its query.
    ///   - isOver: whether nothing more is wanted.
    ///   - take: gets each line without its end.
    /// - Returns: how it ended.
    /// - Throws: `AdminFault` where nobody answers, or not in HTTP, and what `take` throws.
    public func story(
        _ target: String, until isOver: () -> Bool, _ take: (Data) throws -> Void
    ) throws -> AdminStoryEnd {
        let stream = try connect()
        try ask("GET", target, on: stream)
        var lines = StoryLines()
        while !isOver() {
            let end = Clock.nowMilliseconds() + Self.lookMilliseconds
            switch stream.receive(until: end) {
            case .none: continue
            case .ended: return try lines.end(at: address)
            case .bytes(let bytes):
                try lines.append(bytes, from: address, take)
                if lines.isWhole { return try lines.end(at: address) }
            }
        }
        return .left
    }
}

/// Reads the head of an answer and the lines of its body.
private struct StoryLines: ~Copyable {
    private var parser = ResponseHeadParser(limits: .builtIn)
    private var head: ResponseHead?
    private var decoder = BodyDecoder(.untilClose, limits: .builtIn, isAnswer: true)
    /// A line that is not whole; the whole body, where the answer is none of these.
    private var rest = Data()
    private var isStory = false

    var isWhole: Bool { head != nil && decoder.isDone }

    mutating func append(
        _ bytes: [UInt8], from address: Address, _ take: (Data) throws -> Void
    ) throws {
        var bytes = bytes
        if head == nil {
            switch bytes.withUnsafeBytes({ parser.append($0) }) {
            case .needsMore: return
            case .failed(let fault): throw AdminFault.foreign(address, fault.sentence)
            case .complete(let found, let consumed):
                bytes.removeFirst(consumed)
                head = found
                isStory = found.status == 200
                do throws(HeadFault) {
                    decoder = BodyDecoder(
                        try BodyFraming(response: found), limits: .builtIn, isAnswer: true)
                } catch {
                    throw AdminFault.foreign(address, error.sentence)
                }
            }
        }
        try body(&bytes, from: address, take)
    }

    private mutating func body(
        _ bytes: inout [UInt8], from address: Address, _ take: (Data) throws -> Void
    ) throws {
        var payload = 0
        var fault: HeadFault?
        // What was decoded lies together at the start of what it was decoded from.
        bytes.withUnsafeMutableBufferPointer { buffer in
            guard let start = buffer.baseAddress, !buffer.isEmpty else { return }
            let outcome = decoder.decode(start, count: buffer.count)
            payload = outcome.payload
            fault = outcome.fault
        }
        if let fault { throw AdminFault.foreign(address, fault.sentence) }
        // In what was there before is no end of a line.
        var unseen = rest.endIndex
        rest.append(contentsOf: bytes[..<payload])
        guard isStory else { return }
        var begin = rest.startIndex
        while let end = rest[unseen...].firstIndex(of: 10) {
            try take(rest[begin..<end])
            begin = end + 1
            unseen = begin
        }
        if begin > rest.startIndex { rest = Data(rest[begin...]) }
    }

    mutating func end(at address: Address) throws -> AdminStoryEnd {
        guard let head else { throw AdminFault.unanswered(address) }
        if !isStory { return .refused(AdminReply(head, body: rest)) }
        return decoder.isDone ? .whole : .cut
    }
}
