// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import Ledger
import Testing

@testable import Log

/// The line below the log: what is written to the terminal so that it stays one line.
struct LastLineTests {
    private static let erase = "\r\u{1B}[K"

    /// What `body` has written.
    private func written(_ body: (LastLine, FileHandle) throws -> Void) throws -> String {
        let pipe = Pipe()
        let end = pipe.fileHandleForWriting
        try body(LastLine(descriptor: end.fileDescriptor), end)
        try end.close()
        return String(decoding: try pipe.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
    }

    @Test func `it is redrawn below lines that pass, and gone in the end`() throws {
        let text = try written { line, end in
            line.show("1 open")
            line.above { end.write(Data("log\n".utf8)) }
            line.show("2 open")
            line.clear()
        }
        let erase = Self.erase
        #expect(text == "\(erase)1 open\(erase)log\n1 open\(erase)2 open\(erase)")
    }

    @Test func `where nothing is shown, lines pass as they are`() throws {
        let text = try written { line, end in
            line.clear()
            line.above { end.write(Data("log\n".utf8)) }
        }
        #expect(text == "log\n")
    }

    @Test func `a log above it never breaks into it`() throws {
        let text = try written { line, end in
            line.show("open")
            var plan = LogPlan()
            plan.access = .off
            plan.events = .descriptor(end.fileDescriptor)
            let log = try LogWriter(plan, above: line)
            log.write(.init(.info, "One."))
            log.close()
        }
        let line = try #require(text.split(separator: "\n").first)
        #expect(line.hasPrefix("\(Self.erase)open\(Self.erase)"))
        #expect(line.hasSuffix("info: One."))
        #expect(text.hasSuffix("\nopen"))
    }
}
