// SPDX-License-Identifier: Apache-2.0
import CQREncode

/// A QR code (ISO/IEC 18004) of a text, to be drawn on a terminal.
public struct QRCode: Sendable {
    /// Light modules around the code, which readers need to find it (ISO/IEC 18004 §6.3.8).
    static let quietModules = 4

    /// Modules of one side, without the quiet zone.
    public let size: Int
    /// The modules row by row; true is dark.
    private let modules: [Bool]

    /// Encodes a text with error correction level M; nil when it is too long for any version.
    public init?(_ text: String) {
        guard let code = QRcode_encodeString8bit(text, 0, QR_ECLEVEL_M) else { return nil }
        defer { QRcode_free(code) }
        let size = Int(code.pointee.width)
        self.size = size
        // The lowest bit says whether the module is dark.
        modules = (0..<size * size).map { code.pointee.data[$0] & 1 == 1 }
    }

    /// Whether the module is dark; all around the code is light.
    public func isDark(row: Int, column: Int) -> Bool {
        guard (0..<size).contains(row), (0..<size).contains(column) else { return false }
        return modules[row * size + column]
    }

    /// Characters of a line of `lines`.
    public var columns: Int { size + 2 * Self.quietModules }

    /// The code as lines of half blocks, two rows of modules in each.
    ///
    /// - Parameter isInked: whether the terminal is told to show dark on light. If not, the blocks
    ///   stand for the light modules, which suits a terminal that is dark, as most are.
    /// - Returns: as many lines as it takes, each of `columns` characters beside the colours.
    public func lines(isInked: Bool) -> [String] {
        let first = -Self.quietModules
        let last = size + Self.quietModules
        return stride(from: first, to: last, by: 2).map { row in
            let line = (first..<last).map { column -> String in
                // A row below the last one is outside of what is drawn; it is light too.
                let upper = isDark(row: row, column: column) == isInked
                let lower = isDark(row: row + 1, column: column) == isInked
                switch (upper, lower) {
                case (true, true): return "█"
                case (true, false): return "▀"
                case (false, true): return "▄"
                case (false, false): return " "
                }
            }.joined()
            // Black on white, whatever the terminal's own colours are.
            return isInked ? "\u{1B}[38;5;16;48;5;231m\(line)\u{1B}[0m" : line
        }
    }
}
