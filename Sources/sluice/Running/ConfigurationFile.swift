// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Glibc

/// The configuration that a command is about, with `-c` or without.
struct ConfigurationFile: ParsableArguments {
    @Option(name: .shortAndLong, help: ArgumentHelp("The configuration, YAML.", valueName: "file"))
    var config: String?

    @Argument(help: ArgumentHelp("The configuration file, as -c names it.", valueName: "file"))
    var place: String?

    /// The file that was named.
    var path: String { config ?? place ?? "" }

    /// Refuses none and two.
    func validate() throws {
        guard (config == nil) != (place == nil) else {
            throw ValidationError(
                config == nil
                    ? "No configuration is named: give its file, as in -c sluice.yaml."
                    : "Two configurations are named, \(config ?? "") and \(place ?? ""): give one.")
        }
        // The port of an app, as quick mode takes it.
        if UInt16(path).map({ $0 > 0 }) == true, access(path, F_OK) != 0 {
            throw ValidationError(
                "\(path) is no configuration: there is no such file. Did you mean `sluice \(path)`, for the"
                    + " app at that port?")
        }
    }
}
