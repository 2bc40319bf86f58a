// SPDX-License-Identifier: Apache-2.0
import QRCode
import Testing

/// The drawing of a code; that a phone can read it is shown by `OnTheLANTests`.
struct QRCodeTests {
    @Test func `a code has its three finders and light around it`() throws {
        let code = try #require(QRCode("https://192.168.1.20:8443/"))
        #expect(code.size >= 21 && (code.size - 17).isMultiple(of: 4))
        let far = code.size - 7
        for (row, column) in [(0, 0), (0, far), (far, 0)] {
            let middle = (0..<7).map { code.isDark(row: row + 3, column: column + $0) }
            #expect(middle == [true, false, true, true, true, false, true])
        }
        #expect(!code.isDark(row: -1, column: 0) && !code.isDark(row: 0, column: code.size))
    }

    @Test(arguments: [true, false])
    func `half blocks say the same as the modules`(isInked: Bool) throws {
        let code = try #require(QRCode("wss://app.localhost"))
        for (index, line) in code.lines(isInked: isInked).enumerated() {
            let blocks = line.filter { "█▀▄ ".contains($0) }
            #expect(blocks.count == code.columns)
            for (place, block) in blocks.enumerated() {
                let row = index * 2 - 4
                let column = place - 4
                let upper = "█▀".contains(block) == isInked
                let lower = "█▄".contains(block) == isInked
                #expect(code.isDark(row: row, column: column) == upper)
                #expect(code.isDark(row: row + 1, column: column) == lower)
            }
            #expect(line.contains("\u{1B}") == isInked)
        }
    }

    @Test func `a text that fits into no code has none`() {
        #expect(QRCode(String(repeating: "a", count: 3_000)) == nil)
    }
}
