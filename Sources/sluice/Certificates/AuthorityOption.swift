// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import TLS

/// What people write behind `--ca`.
enum AuthorityOption {
    /// Refuses files that hold no certificate, or can't be read; by the means of those who use them.
    static func check(_ files: [String]) throws {
        for file in files {
            do throws(TLSError) {
                _ = try TLSProbe(serverName: "localhost", trusting: [file])
            } catch {
                throw ValidationError("--ca: \(error).")
            }
        }
    }
}
