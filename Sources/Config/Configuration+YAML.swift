// SPDX-License-Identifier: Apache-2.0
internal import Yams

extension Configuration {
    /// Reads a configuration; throws everything that is wrong with it.
    ///
    /// `file` names it in problems; paths of certificates, keys and logs are relative to its folder.
    public static func load(
        yaml: String, file: String
    ) throws(ConfigurationProblems) -> Configuration {
        Configuration()
    }
}
