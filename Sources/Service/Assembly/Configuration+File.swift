// SPDX-License-Identifier: Apache-2.0
public import Config
import Reactor

extension Configuration {
    /// Reads a configuration from a file; throws also when the file can't be read.
    ///
    /// It may come through a pipe, as from `<(…)` of a shell, which has 5 s for all of it.
    public static func load(path: String) throws(ConfigurationProblems) -> Configuration {
        let bytes: [UInt8]
        do throws(WholeFile.Refusal) {
            bytes = try WholeFile.read(path)
        } catch {
            throw ConfigurationProblems(file: path, "\(error.sentence); \(error.remedy)")
        }
        return try load(bytes: bytes, file: path) { Assembly.entries(of: $0).problems }
    }
}
