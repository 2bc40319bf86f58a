// SPDX-License-Identifier: Apache-2.0
import Serialization
import Testing

struct FieldTests {
    private static func bytes(_ write: (inout FieldWriter) -> Void) -> [UInt8] {
        var writer = FieldWriter(capacity: 64)
        write(&writer)
        return writer.withBytes { Array($0) }
    }

    private static func reading<Value>(
        _ bytes: [UInt8], _ read: (inout FieldReader) throws(FieldFault) -> Value
    ) -> Result<Value, FieldFault> {
        bytes.withUnsafeBytes { raw in
            do throws(FieldFault) {
                var reader = try FieldReader(raw)
                return .success(try read(&reader))
            } catch {
                return .failure(error)
            }
        }
    }

    @Test func `what was written is read of every kind and beyond the room of the beginning`() {
        let long = String(repeating: "ß", count: 300)
        let bytes = Self.bytes { writer in
            writer.put(1, UInt64.max)
            writer.put(2, Int64.min)
            writer.put(3, true)
            writer.put(4, long)
            writer.part(5) { part in
                part.put(1, UInt8(7))
                part.part(2) { $0.put(9, "inner") }
            }
            writer.put(6, "")
        }
        let outcome = Self.reading(bytes) { (reader) throws(FieldFault) in
            let unsigned: UInt64 = try reader.integer(1)
            let signed: Int64 = try reader.integer(2)
            let flag = try reader.flag(3)
            let text = try reader.text(4)
            var part = try reader.part(5)
            let seven: UInt8 = try part.integer(1)
            var inner = try part.part(2)
            let word = try inner.text(9)
            try inner.finish()
            try part.finish()
            let empty = try reader.text(6)
            try reader.finish()
            return (unsigned == .max && signed == .min && flag && text == long && seven == 7)
                && word == "inner" && empty.isEmpty
        }
        #expect(outcome == .success(true))
    }

    @Test func `a field that nobody knows stops a reader only where it is required`() {
        let optional = Self.bytes {
            $0.put(1, 5)
            $0.put(77, "from a later build", isRequired: false)
        }
        let required = Self.bytes {
            $0.put(1, 5)
            $0.put(78, "from a later build")
        }
        func read(_ bytes: [UInt8]) -> Result<Int, FieldFault> {
            Self.reading(bytes) { (reader) throws(FieldFault) in
                let five: Int = try reader.integer(1)
                try reader.finish()
                return five
            }
        }
        #expect(read(optional) == .success(5))
        #expect(read(required) == .failure(.unknown(78)))
    }

    @Test func `a missing field has its stand-in or is named and no value is taken for another`() {
        let bytes = Self.bytes {
            $0.put(1, 300)
            $0.put(2, -1)
        }
        #expect(
            Self.reading(bytes) { (r) throws(FieldFault) in try r.integer(1) as UInt8 }
                == .failure(.outOfRange(1)))
        #expect(
            Self.reading(bytes) { (r) throws(FieldFault) in try r.integer(2) as Int32 }
                == .success(-1))
        #expect(
            Self.reading(bytes) { (r) throws(FieldFault) in try r.flag(1) }
                == .failure(.outOfRange(1)))
        #expect(
            Self.reading(bytes) { (r) throws(FieldFault) in try r.integer(3) as Int }
                == .failure(.missing(3)))
        #expect(
            Self.reading(bytes) { (r) throws(FieldFault) in try r.integer(3, standIn: 9) }
                == .success(9))
    }

    @Test
    func `bytes cut anywhere or changed anywhere are a fault or other values and never a trap`() {
        let bytes = Self.bytes { writer in
            writer.put(1, 1)
            writer.put(4, "text")
            writer.part(5) { $0.put(1, 2) }
        }
        func walk(_ bytes: [UInt8]) {
            _ = Self.reading(bytes) { (reader) throws(FieldFault) in
                let one: Int = try reader.integer(1)
                let text = try reader.text(4)
                var part = try reader.part(5)
                let two: Int = try part.integer(1)
                return "\(one)\(text)\(two)"
            }
        }
        var cuts = 0
        for end in 0..<bytes.count {
            let outcome = Self.reading(Array(bytes[..<end])) { (r) throws(FieldFault) in
                _ = try r.bytes(5)
                return true
            }
            if case .failure = outcome { cuts += 1 }
        }
        #expect(cuts == bytes.count)
        for index in bytes.indices {
            for value in [UInt8(0), 1, 0x7F, 0x80, 0xFF] {
                var changed = bytes
                changed[index] = value
                walk(changed)
            }
        }
    }
}
