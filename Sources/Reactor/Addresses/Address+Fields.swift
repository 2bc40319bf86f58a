// SPDX-License-Identifier: Apache-2.0
public import Serialization

/// An address as fields, exactly: a text would leave out the interface of a link-local one.
extension Address {
    private enum Number {
        static let kind: UInt16 = 1
        static let high: UInt16 = 2
        static let low: UInt16 = 3
        static let scope: UInt16 = 4
        static let port: UInt16 = 5
        static let path: UInt16 = 6
    }

    /// Writes the address.
    public func write(to writer: inout FieldWriter) {
        writer.put(Number.kind, kind.rawValue)
        if kind == .unix {
            writer.put(Number.path, path)
            return
        }
        writer.put(Number.high, high)
        writer.put(Number.low, low)
        writer.put(Number.scope, scope)
        writer.put(Number.port, port)
    }

    /// Reads what `write` wrote.
    public init(_ reader: inout FieldReader) throws(FieldFault) {
        guard let kind = Kind(rawValue: try reader.integer(Number.kind)) else {
            throw .outOfRange(Number.kind)
        }
        if kind == .unix {
            self.init(unixPath: try reader.text(Number.path))
        } else {
            self.init(
                kind: kind, high: try reader.integer(Number.high),
                low: try reader.integer(Number.low), scope: try reader.integer(Number.scope),
                port: try reader.integer(Number.port))
        }
        try reader.finish()
    }
}
