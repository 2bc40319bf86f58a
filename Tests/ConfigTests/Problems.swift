// SPDX-License-Identifier: Apache-2.0
import Config

/// The lines for a file, none when it is fine.
func problems(of yaml: String) -> [String] {
    do {
        _ = try Configuration.load(yaml: yaml, file: "sluice.yaml")
        return []
    } catch {
        return error.problems.map(\.description)
    }
}
