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
            five, chance alone does that for a measure once in 126 times. Where the runs were asked for different \
            things, as another number of connections, it says so above, and calls no change beyond the noise.
            """ + ExitCodes.help("load compare"))

    @Argument(help: ArgumentHelp("The first report, as --json has written it.", valueName: "first"))
    var first: String

    @Argument(help: ArgumentHelp("The second report.", valueName: "second"))
    var second: String

    @Option(help: ArgumentHelp("Write a page of HTML.", valueName: "file"))
    var report: String?

    @Option(
        help: ArgumentHelp(
            "Write the comparison as one JSON object; - is standard output.", valueName: "file"))
    var json: String?

    /// Refuses two reports in one file.
    func validate() throws {
        if let json, json == report {
            throw ValidationError("Two reports would go to one file: give each its own.")
        }
    }

    /// Prints the comparison, and writes the page.
    func run() throws {
        let (before, after) = (try Self.read(first), try Self.read(second))
        let comparison = LoadComparison(before, after)
        let isPiped = json == "-"
        let page = try ReportFile.opened(report)
        let file = try isPiped ? nil : ReportFile.opened(json)
        let object = try Self.json(comparison)
        if isPiped { Output.write(Array(object)) }
        for line in comparison.warnings + LoadText.lines(comparison) {
            isPiped ? Output.complain(line) : Output.line(Output.escaped(line))
        }
        let faults = [
            file?.write(object), page?.write(Data(LoadPage.html(comparing: comparison).utf8)),
        ]
        let sentences = faults.compactMap { $0 }
        if !sentences.isEmpty { throw LoadFault(sentences.joined(separator: "\n")) }
        if comparison.isOfDifferentLoads { throw ExitCode(LoadExit.unexpected) }
    }

    /// What programs read of a comparison.
    private struct Document: Encodable {
        let differences: [LoadDifference]
        let rows: [LoadComparison.Row]
    }

    private static func json(_ comparison: LoadComparison) throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .prettyPrinted]
        let document = Document(differences: comparison.differences, rows: comparison.rows)
        return try encoder.encode(document) + Data("\n".utf8)
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
