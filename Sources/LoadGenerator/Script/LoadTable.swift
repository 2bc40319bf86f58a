// SPDX-License-Identifier: Apache-2.0
import Foundation

/// A file in CSV (RFC 4180): its first line names the columns.
///
/// Only the places of rows are kept beside the file's bytes, so a million rows take 8 MB more than the file has.
struct LoadTable: Sendable {
    /// The names of the columns.
    let columns: [String]
    private let bytes: [UInt8]
    /// Where rows begin, behind the first; the last one is the end.
    private let starts: [Int]

    /// How many rows there are.
    var count: Int { starts.count - 1 }

    /// Reads a file.
    ///
    /// - Throws: `LoadFault` that says what is wrong with it.
    init(path: String) throws(LoadFault) {
        do {
            bytes = Array(try Data(contentsOf: URL(fileURLWithPath: path)))
        } catch {
            throw LoadFault(
                "\(path): it can't be read; see whether it is there and who may read it")
        }
        let (starts, isClosed) = Self.starts(bytes)
        guard isClosed else { throw LoadFault("\(path): a quote in it has no end") }
        guard starts.count > 2 else {
            throw LoadFault("\(path): it needs a line with names and at least one row")
        }
        columns = Self.fields(bytes[starts[0]..<starts[1]]).map {
            $0.trimmingCharacters(in: .whitespaces)
        }
        self.starts = Array(starts.dropFirst())
        if let wrong = columns.first(where: { $0.isEmpty }) {
            throw LoadFault("\(path): a column in its first line has the name “\(wrong)”")
        }
    }

    /// The values of a row; rows begin again behind the last one.
    ///
    /// A row that is too short has empty values.
    func row(_ index: Int) -> [String] {
        let index = index % count
        var fields = Self.fields(bytes[starts[index]..<starts[index + 1]])
        while fields.count < columns.count { fields.append("") }
        return fields
    }

    /// Where lines that have something begin, and the end; a line end in quotes belongs to its field.
    private static func starts(_ bytes: [UInt8]) -> ([Int], isClosed: Bool) {
        var starts: [Int] = []
        var isQuoted = false
        // A mark of UTF-8 in front is no part of the first name.
        var begin = bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? 3 : 0
        for (index, byte) in bytes.enumerated() where index >= begin {
            if byte == UInt8(ascii: "\"") { isQuoted.toggle() }
            guard byte == UInt8(ascii: "\n"), !isQuoted else { continue }
            if bytes[begin..<index].contains(where: { $0 > 0x20 }) { starts.append(begin) }
            begin = index + 1
        }
        if bytes[begin...].contains(where: { $0 > 0x20 }) { starts.append(begin) }
        return (starts + [bytes.count], !isQuoted)
    }

    private static func fields(_ line: ArraySlice<UInt8>) -> [String] {
        var fields: [String] = []
        var field: [UInt8] = []
        var isQuoted = false
        var isDoubled = false
        for byte in line {
            if byte == UInt8(ascii: "\"") {
                // Two in quotes are one.
                if !isQuoted, isDoubled { field.append(byte) }
                isDoubled = isQuoted
                isQuoted.toggle()
                continue
            }
            isDoubled = false
            if !isQuoted {
                if byte == UInt8(ascii: ",") {
                    fields.append(String(decoding: field, as: UTF8.self))
                    field = []
                    continue
                }
                if byte == UInt8(ascii: "\n") { break }
                if byte == UInt8(ascii: "\r") { continue }
            }
            field.append(byte)
        }
        fields.append(String(decoding: field, as: UTF8.self))
        return fields
    }
}
