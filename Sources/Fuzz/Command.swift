// SPDX-License-Identifier: Apache-2.0
import Foundation
import FuzzTargets

/// What both forms of the program understand: the one that fuzzes and the one that replays.
enum Command {
    static let usage = """
        Fuzz --list                        the targets, each with the most bytes of its inputs
        Fuzz --target=NAME --seeds=FOLDER  writes the seeds of a target there, and FOLDER.dict beside it
        Fuzz --target=NAME FILE…           checks the target's property for these inputs
        Built with the fuzzer, the last form takes the options and folders of libFuzzer instead.
        """

    /// The value of `--name=value`.
    static func option(_ name: String) -> String? {
        CommandLine.arguments.first { $0.hasPrefix("--\(name)=") }
            .map { String($0.dropFirst(name.count + 3)) }
    }

    /// The target that the command line names; leaves the program where there is none of that name.
    static let target: FuzzTarget = {
        let name = option("target") ?? ""
        guard let target = FuzzTarget.named(name) else {
            leave("There is no target '\(name)'; `--list` prints those that there are.")
        }
        return target
    }()

    /// Does what needs no input, and leaves the program then.
    static func runIfListed() {
        if CommandLine.arguments.contains("--list") {
            for target in FuzzTarget.all { print(target.name, target.inputBytesMax) }
            exit(0)
        }
        guard let folder = option("seeds") else { return }
        do {
            try writeSeeds(to: folder)
            exit(0)
        } catch {
            leave("The seeds can't be written to '\(folder)': \(error.localizedDescription)")
        }
    }

    private static func writeSeeds(to folder: String) throws {
        let place = URL(fileURLWithPath: folder)
        try FileManager.default.createDirectory(at: place, withIntermediateDirectories: true)
        for (index, seed) in target.seeds.enumerated() {
            try Data(seed).write(to: place.appendingPathComponent("seed-\(index)"))
        }
        try Data(target.dictionary.utf8).write(to: place.appendingPathExtension("dict"))
    }

    /// Ends the program with a sentence for whoever started it.
    static func leave(_ sentence: String) -> Never {
        FileHandle.standardError.write(Data((sentence + "\n").utf8))
        exit(2)
    }
}
