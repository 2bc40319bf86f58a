// SPDX-License-Identifier: Apache-2.0

/// What a message's `Connection` fields say (RFC 9110 §7.6.1).
public struct ConnectionOptions: OptionSet, Sendable {
    /// One bit per option.
    public let rawValue: UInt8

    /// The options of these bits.
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// The connection ends behind this message.
    public static let close = ConnectionOptions(rawValue: 1)
    /// The connection stays, as HTTP/1.0 has to say.
    public static let keepAlive = ConnectionOptions(rawValue: 2)
    /// The message is about an upgrade.
    public static let upgrade = ConnectionOptions(rawValue: 4)
    /// Fields are named that hold for this hop only.
    public static let names = ConnectionOptions(rawValue: 8)
}

extension FieldList {
    /// What the `Connection` fields of the message say, all taken together.
    public var connectionOptions: ConnectionOptions {
        var options: ConnectionOptions = []
        guard known.has(.connection) else { return options }
        let span = bytes.span
        for index in 0..<fields.count where fields[index].known == .connection {
            // Most name one option, which is read without a walk through its elements.
            let single = Self.option(span, fields[index].value)
            if single != .names {
                options.formUnion(single)
                continue
            }
            var elements = ListElements(fields[index].value)
            while let element = elements.next(span) {
                options.formUnion(Self.option(span, element))
            }
        }
        return options
    }

    static func option(_ bytes: Span<UInt8>, _ element: Range<Int>) -> ConnectionOptions {
        func isNamed(_ text: StaticString) -> Bool {
            Bytes.areEqual(bytes, element, ignoringCase: text)
        }
        switch element.count {
        case 5 where isNamed("close"): return .close
        case 7 where isNamed("upgrade"): return .upgrade
        case 10 where isNamed("keep-alive"): return .keepAlive
        default: return .names
        }
    }
}

/// The elements of a comma-separated list, one after the other; empty ones are passed over.
struct ListElements {
    private var position: Int
    private let end: Int

    init(_ value: Range<Int>) {
        position = value.lowerBound
        end = value.upperBound
    }

    /// The next element without the white space around it.
    mutating func next(_ bytes: Span<UInt8>) -> Range<Int>? {
        while position < end {
            var start = position
            while position < end, bytes[position] != Octet.comma { position &+= 1 }
            var last = position
            position &+= 1
            while start < last, Octet.isSpaceOrTab(bytes[start]) { start &+= 1 }
            while last > start, Octet.isSpaceOrTab(bytes[last &- 1]) { last &-= 1 }
            if start < last { return start..<last }
        }
        return nil
    }
}
