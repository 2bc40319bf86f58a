// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Foundation
import LoadGenerator

/// `sluice load compare`: two reports side by side.
struct LoadCompareCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "compare",
        abstract: "Compare two reports of sluice load.",
        usage: """
            sluice load URL --repeat 5 --json before.json
            sluice load URL --repeat 5 --json after.json
            sluice load compare before.json after.json --report change.html
            """,
        discussion: """
            Prints each measure of both, and their ratio. A change is beyond the noise where every run of one \
            is better than every run of the other, so both have to have several (--repeat): of five against \
            five, chance alone does that for a measure once in 126 times.
            """ + ExitCodes.help("load compare"))

    @Argument(help: ArgumentHelp("The first report, as --json has written it.", valueName: "first"))
    var first: String

    @Argument(help: ArgumentHelp("The second report.", valueName: "second"))
    var second: String

    @Option(help: ArgumentHelp("Write a page of HTML.", valueName: "file"))
    var report: String?

    @Flag(help: "Print one JSON object.") var json = false

    /// Prints the comparison, and writes the page.
    func run() throws {
        let (before, after) = (try Self.read(first), try Self.read(second))
        if (before.mode, before.model) != (after.mode, after.model) {
            Output.complain(
                "The reports are of different loads, which can't be compared: \(before.mode) (\(before.model) model)"
                    + " and \(after.mode) (\(after.model) model).")
        }
        let comparison = LoadComparison(before, after)
        let page = try ReportFile.opened(report)
        if json {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .prettyPrinted]
            Output.write(Array(try encoder.encode(["rows": comparison.rows]) + Data("\n".utf8)))
        } else {
            for line in LoadText.lines(comparison) { Output.line(line) }
        }
        if let fault = page?.write(Data(LoadPage.html(comparing: comparison).utf8)) {
            throw LoadFault(fault)
        }
    }

    private static func read(_ path: String) throws(LoadFault) -> LoadSummary {
        let data: Data
        do {
            data = try Data(contentsOf: URL(fileURLWithPath: path))
        } catch {
            throw LoadFault(FileTrouble.sentence("read", path, error))
        }
        do throws(LoadFault) {
            return try LoadSummary(json: data)
        } catch {
            throw LoadFault("\(path): \(error.sentence).")
        }
    }
}
