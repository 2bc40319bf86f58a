// SPDX-License-Identifier: Apache-2.0
import Config
import Foundation
import LoadGenerator

/// The file of a script.
enum LoadScriptFile {
    /// Reads it.
    ///
    /// - Throws: `LoadFault` where it can't be read, `ConfigurationProblems` where it is wrong.
    static func read(_ path: String) throws -> LoadScript {
        let data: Data
        do {
            data = try Data(contentsOf: URL(fileURLWithPath: path))
        } catch {
            throw LoadFault(FileTrouble.sentence("read", path, error))
        }
        guard let text = String(validating: data, as: UTF8.self) else {
            throw LoadFault("\(path): this is no text in UTF-8: save it as UTF-8.")
        }
        return try LoadScript.load(yaml: text, file: path)
    }
}
