// SPDX-License-Identifier: Apache-2.0
import Glibc

/// Standard output, a line at a time: whoever waits for a line in a pipe gets it at once.
enum Output {
    static func line(_ text: String) {
        var rest = Array((text + "\n").utf8)[...]
        while !rest.isEmpty {
            let written = rest.withUnsafeBytes { write(STDOUT_FILENO, $0.baseAddress, $0.count) }
            if written < 0 {
                if errno == EINTR { continue }
                return
            }
            rest = rest.dropFirst(written)
        }
    }
}
