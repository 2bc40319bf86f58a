// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import Reactor

/// What Foundation can't do with a file, in words: its own name a domain and a number.
enum FileTrouble {
    /// What could not be done with which file, why, and what to do; `done` is `read` or `written`.
    static func sentence(_ done: String, _ path: String, _ error: any Error) -> String {
        let cause = (error as NSError).userInfo[NSUnderlyingErrorKey] as? any Error
        let code = Int32(truncatingIfNeeded: ((cause ?? error) as NSError).code)
        let isOfSystem = ((cause ?? error) as NSError).domain == NSPOSIXErrorDomain
        guard isOfSystem else {
            return "\(path): it can't be \(done); see who may (namei -l), and the room on"
                + " the disk (df -h)."
        }
        return sentence(done, path, code: code)
    }

    /// The same by the error code of a system call.
    static func sentence(_ done: String, _ path: String, code: Int32) -> String {
        if done == "read", code == ENOENT {
            return "\(path): there is no such file; correct the path."
        }
        let remedy =
            SystemError.remedy(code, file: path) ?? "see who may (namei -l) and the disk (df -h)"
        return "\(path): it can't be \(done): \(SystemError.text(of: code)); \(remedy)."
    }
}
