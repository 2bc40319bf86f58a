// SPDX-License-Identifier: Apache-2.0
#if !FUZZER
import Foundation
import FuzzTargets

/// Checks the inputs in files, without the fuzzer.
@main struct Replay {
    static func main() {
        Command.runIfListed()
        let files = CommandLine.arguments.dropFirst().filter { !$0.hasPrefix("--") }
        guard Command.option("target") != nil, !files.isEmpty else {
            Command.leave(Command.usage)
        }
        var brokenCount = 0
        for file in files {
            guard let data = FileManager.default.contents(atPath: file) else {
                Command.leave("'\(file)' can't be read.")
            }
            do throws(BrokenProperty) {
                try Command.target.run(Array(data))
                print("\(file): holds")
            } catch {
                print("\(file): broken: \(error)")
                brokenCount += 1
            }
        }
        exit(brokenCount == 0 ? 0 : 1)
    }
}
#endif
