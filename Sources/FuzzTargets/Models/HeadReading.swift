// SPDX-License-Identifier: Apache-2.0
import Wire

/// What came of a head, or of several one behind the other.
struct HeadReading: Equatable, CustomStringConvertible {
    struct Head: Equatable {
        /// Method, target and version, or version, status and reason.
        var firstLine: [String]
        /// Names and values, one after the other.
        var fields: [String]
        /// Where it ends among all bytes.
        var end: Int
    }

    enum End: Equatable {
        /// So many bytes are held of a head that is not whole.
        case open(held: Int)
        case failed(String)
        /// Enough heads were read.
        case enough
    }

    /// Heads are looked for until there are so many.
    static let headsMax = 3

    var heads: [Head] = []
    var end = End.open(held: 0)

    private var isFailed: Bool {
        if case .failed = end { true } else { false }
    }

    var description: String {
        heads.map { "\($0)\n" }.joined() + "\(end)"
    }

    /// Bytes as text that two different rows of bytes never share.
    static func text(_ bytes: some Collection<UInt8>) -> String {
        String(String.UnicodeScalarView(bytes.map { UnicodeScalar($0) }))
    }

    static func texts(_ list: FieldList) -> [String] {
        list.fields.flatMap { [text(list.name(of: $0)), text(list.value(of: $0))] }
    }

    /// Reads heads as a connection does: what stands behind a head is given to the parser again.
    ///
    /// - Parameters:
    ///   - pieces: the bytes as they come.
    ///   - parser: one that has read nothing yet.
    ///   - limits: those of the parser.
    ///   - accepted: gets the heads that were read.
    /// - Returns: what came of them.
    /// - Throws: `BrokenProperty` where the parser does what none may do.
    static func reading<Parser: HeadParsing>(
        _ pieces: [[UInt8]], with parser: consuming Parser, _ limits: HeadLimits,
        _ accepted: inout [Parser.Head]
    ) throws(BrokenProperty) -> HeadReading {
        var reading = HeadReading()
        var taken = 0
        for piece in pieces where reading.end == .open(held: 0) {
            var rest = piece[...]
            repeat {
                switch parser.read(Array(rest)) {
                case .needsMore:
                    taken += rest.count
                    rest = []
                case .failed(let fault):
                    try require(
                        Parser.faults.contains(fault.status) && !fault.sentence.isEmpty,
                        "A fault has a status for the client and a sentence: \(fault)")
                    reading.end = .failed(fault.sentence)
                case .complete(let head, let consumed):
                    try require(1...rest.count ~= consumed, "A head ends among the bytes given.")
                    taken += consumed
                    rest = rest.dropFirst(consumed)
                    accepted.append(head)
                    reading.heads.append(
                        Head(
                            firstLine: Parser.firstLine(of: head),
                            fields: texts(Parser.fields(of: head)), end: taken))
                    if reading.heads.count == headsMax { reading.end = .enough }
                    // A connection that goes on reads the next head into the memory of the last one.
                    parser.takeMemory(of: head)
                }
                try require(
                    parser.byteCount <= limits.bytesMax,
                    "No more than the limit is held: \(parser.byteCount)")
            } while !rest.isEmpty && reading.end == .open(held: 0)
        }
        if reading.end == .open(held: 0) { reading.end = .open(held: parser.byteCount) }
        return reading
    }

    /// What a plain reader finds where a head may begin.
    struct PlainHead {
        /// Bytes in front of it that mean nothing.
        var skipped = 0
        /// False where the bytes can become no head, whatever follows.
        var isLawful: Bool
        /// The parts of the first line; nil where it is not whole or not lawful.
        var firstLine: [String]?
        var fields: PlainFields
    }

    /// States that a plain reader of the whole finds the same heads and the same end.
    func requirePlain(
        _ stream: [UInt8], _ next: (ArraySlice<UInt8>) -> PlainHead
    ) throws(BrokenProperty) {
        var start = 0
        for count in 0... {
            let plain = next(stream[start...])
            start += plain.skipped
            guard plain.isLawful, case .done(let length) = plain.fields.end,
                let firstLine = plain.firstLine
            else {
                let isBroken = !plain.isLawful || plain.fields.end == .broken
                try requireEqual(
                    heads.count, count, "There are as many heads as a plain reader finds.")
                try require(
                    isBroken == isFailed,
                    "The plain reader \(isBroken ? "refuses" : "takes") what follows.")
                return
            }
            start += length
            try require(count < heads.count, "A head is found as by the plain reader.")
            try requireEqual(
                heads[count],
                Head(
                    firstLine: firstLine,
                    fields: plain.fields.fields.flatMap {
                        [Self.text($0.name), Self.text($0.value)]
                    },
                    end: start), "A head is read as by the plain reader.")
            if count + 1 == Self.headsMax { return }
        }
    }
}

/// What the parsers of requests and of responses have in common for the fuzzer.
protocol HeadParsing {
    associatedtype Head

    /// The statuses that its faults may have.
    static var faults: Set<Int> { get }
    static func firstLine(of head: Head) -> [String]
    static func fields(of head: Head) -> FieldList

    /// Bytes that it holds.
    var byteCount: Int { get }
    mutating func read(_ bytes: [UInt8]) -> HeadProgress<Head>
    mutating func takeMemory(of head: Head)
}

/// What a parser says of the bytes that it was given.
enum HeadProgress<Head> {
    case needsMore
    case failed(HeadFault)
    case complete(Head, consumed: Int)
}

extension RequestHeadParser: HeadParsing {
    static let faults: Set<Int> = [400, 414, 431, 505]

    static func firstLine(of head: RequestHead) -> [String] {
        [head.method, HeadReading.text(head.target), head.isHTTP11 ? "HTTP/1.1" : "HTTP/1.0"]
    }

    static func fields(of head: RequestHead) -> FieldList { head.fields }

    mutating func read(_ bytes: [UInt8]) -> HeadProgress<RequestHead> {
        switch bytes.withUnsafeBytes({ append($0) }) {
        case .needsMore: .needsMore
        case .failed(let fault): .failed(fault)
        case .complete(let head, let consumed): .complete(head, consumed: consumed)
        }
    }

    mutating func takeMemory(of head: RequestHead) {
        var spare = head
        lend(spare.takeMemory())
    }
}

extension ResponseHeadParser: HeadParsing {
    static let faults: Set<Int> = [502]

    static func firstLine(of head: ResponseHead) -> [String] {
        [
            head.isHTTP11 ? "HTTP/1.1" : "HTTP/1.0", String(head.status),
            HeadReading.text(head.reason),
        ]
    }

    static func fields(of head: ResponseHead) -> FieldList { head.fields }

    mutating func read(_ bytes: [UInt8]) -> HeadProgress<ResponseHead> {
        switch bytes.withUnsafeBytes({ append($0) }) {
        case .needsMore: .needsMore
        case .failed(let fault): .failed(fault)
        case .complete(let head, let consumed): .complete(head, consumed: consumed)
        }
    }

    mutating func takeMemory(of head: ResponseHead) {
        var spare = head
        lend(spare.takeMemory())
    }
}

extension HeadLimits {
    /// Limits that inputs of the fuzzer reach, or the usual ones.
    static func chosen(_ isSmall: Bool) -> HeadLimits {
        isSmall ? HeadLimits(bytesMax: 200, fieldsMax: 4, targetBytesMax: 30) : .builtIn
    }
}
