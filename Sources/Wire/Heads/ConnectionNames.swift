// SPDX-License-Identifier: Apache-2.0

/// The field names that a message's `Connection` fields name (RFC 9110 §7.6.1).
///
/// A proxy drops the fields of these names from the head and from the trailers. The names lie in a
/// hash table, so a message costs as many steps as it has bytes, and not its fields times the names:
/// the peer chooses how many there are of both. The hash is a polynomial over a prime with a base
/// that is drawn at random once per process, so a peer can't choose names that collide.
public struct ConnectionNames: Sendable {
    /// Nil where nothing is named but the options themselves, so that most messages allocate nothing.
    private let table: Table?
    private let hasClose: Bool
    /// Bytes hashed or compared and slots looked at so far, for the tests.
    private(set) var stepCount = 0

    /// An empty set of names.
    public init() {
        table = nil
        hasClose = false
    }

    /// Reads the names out of the `Connection` fields, whose `options` are known already.
    public init(_ fields: FieldList, _ options: ConnectionOptions) {
        hasClose = options.contains(.close)
        table = options.contains(.names) ? Table(fields, &stepCount) : nil
    }

    /// Whether no field can be named.
    @inline(__always) var isEmpty: Bool { table == nil && !hasClose }

    /// Whether a field, of the head or of the trailers, is named.
    ///
    /// What was judged is not removed by being named: the upstream has to see the same handshake,
    /// and the same `Origin`.
    mutating func has(_ field: HeadField, of list: FieldList) -> Bool {
        if hasClose && field.known == .close { return true }
        guard let table, table.mayHave(length: field.namePlace.count) else { return false }
        if field.known == .origin && field.isExact { return false }
        let span = list.bytes.span
        let name = field.name
        let handshake: StaticString = "sec-websocket-"
        if name.count >= handshake.utf8CodeUnitCount {
            let prefix = name.prefix(handshake.utf8CodeUnitCount)
            if Bytes.areEqual(span, prefix, ignoringCase: handshake) { return false }
        }
        return table.has(span, name, &stepCount)
    }

    /// Open addressing over the names in lower case.
    private final class Table: Sendable {
        private struct Entry: Sendable {
            let hash: UInt64
            let place: ByteRange
        }

        private let names: [UInt8]
        private let entries: [Entry]
        /// 0 is empty, otherwise an index into `entries`, plus one.
        private let slots: [UInt32]
        /// Bit n is set if a name has n bytes; the last bit stands for all longer ones.
        private let lengths: UInt64

        init(_ fields: FieldList, _ stepCount: inout Int) {
            var names: [UInt8] = []
            var entries: [Entry] = []
            var lengths: UInt64 = 0
            let span = fields.bytes.span
            for index in 0..<fields.fields.count where fields.fields[index].known == .connection {
                var elements = ListElements(fields.fields[index].value)
                while let element = elements.next(span) {
                    stepCount &+= element.count
                    guard FieldList.option(span, element) == .names else { continue }
                    let start = names.count
                    for place in element { names.append(Octet.lowercased(span[place])) }
                    let place = ByteRange(start..<names.count)
                    entries.append(Entry(hash: Self.hash(span, element), place: place))
                    lengths |= 1 &<< UInt64(min(element.count, 63))
                }
            }
            var count = 8
            while count < 2 * entries.count { count *= 2 }
            var slots = [UInt32](repeating: 0, count: count)
            fill: for index in 0..<entries.count {
                let hash = entries[index].hash
                var slot = Int(truncatingIfNeeded: hash) & (count - 1)
                while slots[slot] != 0 {
                    stepCount &+= 1
                    // A name that comes again needs no entry of its own, nor a chain.
                    let other = entries[Int(slots[slot]) - 1]
                    if other.hash == hash, other.place.count == entries[index].place.count {
                        stepCount &+= other.place.count
                        if names[other.place.range] == names[entries[index].place.range] {
                            continue fill
                        }
                    }
                    slot = (slot + 1) & (count - 1)
                }
                slots[slot] = UInt32(index + 1)
            }
            self.names = names
            self.entries = entries
            self.slots = slots
            self.lengths = lengths
        }

        func mayHave(length: Int) -> Bool { lengths &>> UInt64(min(length, 63)) & 1 != 0 }

        func has(_ span: Span<UInt8>, _ name: Range<Int>, _ stepCount: inout Int) -> Bool {
            stepCount &+= name.count
            let hash = Self.hash(span, name)
            var slot = Int(truncatingIfNeeded: hash) & (slots.count - 1)
            while slots[slot] != 0 {
                stepCount &+= 1
                let entry = entries[Int(slots[slot]) - 1]
                if entry.hash == hash, entry.place.count == name.count {
                    stepCount &+= name.count
                    let start = entry.place.lowerBound
                    let isSame = (0..<name.count).allSatisfy { offset in
                        names[start + offset] == Octet.lowercased(span[name.lowerBound + offset])
                    }
                    if isSame { return true }
                }
                slot = (slot + 1) & (slots.count - 1)
            }
            return false
        }

        private static let prime: UInt64 = (1 << 61) - 1
        private static let base = UInt64.random(in: (1 << 32)..<prime)

        /// The name as a polynomial in `base`, modulo `prime`.
        private static func hash(_ span: Span<UInt8>, _ name: Range<Int>) -> UInt64 {
            var hash: UInt64 = 0
            for index in name {
                let product = hash.multipliedFullWidth(by: base)
                // 2^61 is 1 modulo the prime, so the bits from 61 on are added to those below.
                hash = (product.low & prime) &+ (product.high &<< 3 | product.low &>> 61)
                hash &+= UInt64(Octet.lowercased(span[index])) &+ 1
                while hash >= prime { hash &-= prime }
            }
            // Names that follow each other have hashes that do, and would fill slots in a row: the bits
            // are mixed, one to one (the finisher of SplitMix64).
            hash = (hash ^ hash &>> 30) &* 0xBF58_476D_1CE4_E5B9
            hash = (hash ^ hash &>> 27) &* 0x94D0_49BB_1331_11EB
            return hash ^ hash &>> 31
        }
    }
}

extension FieldList {
    /// Whether a field goes on to the next hop: the one rule for the fields of a head and those of
    /// trailers.
    ///
    /// - Parameters:
    ///   - field: one of the list's.
    ///   - exact: fields that are left out.
    ///   - folded: fields that are left out with all that an application could take for them.
    ///   - names: further names of fields that are left out.
    ///   - named: what the `Connection` of the message's head names.
    /// - Returns: whether none of them leaves it out.
    @inline(__always)
    func passes(
        _ field: HeadField, except exact: KnownFields, folded: KnownFields, names: FieldNames,
        _ named: inout ConnectionNames
    ) -> Bool {
        if folded.has(field.known) || (field.isExact && exact.has(field.known)) { return false }
        if !named.isEmpty && named.has(field, of: self) { return false }
        return names.isEmpty || !names.contains(bytes.span, field.name)
    }
}
