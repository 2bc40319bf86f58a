// SPDX-License-Identifier: Apache-2.0
import Glibc

/// A process by its number and by when it began: the system gives the number of one that has ended to another.
public struct ProcessMark: Sendable, Equatable {
    /// Its number.
    public let process: Int32
    /// When it began, in ticks of the clock since the system did; nil where that is not known.
    public let began: UInt64?

    /// A process of which another one has told.
    public init(_ process: Int32, began: UInt64?) {
        self.process = process
        self.began = began
    }

    /// The process that has this number now.
    public init(of process: Int32) {
        self.init(process, began: Self.look(at: process)?.began)
    }

    /// Whether it has not ended; one that its parent has not asked for yet has.
    ///
    /// Where the system does not show what it knows of it (`hidepid`, or no /proc), its number stands for it.
    public var isThere: Bool {
        guard process > 0, kill(process, 0) == 0 else { return false }
        guard let now = Self.look(at: process) else { return true }
        return !now.hasEnded && (began == nil || now.began == began)
    }

    /// What /proc/PID/stat says (proc_pid_stat(5)); nil where it can't be read.
    private static func look(at process: Int32) -> (hasEnded: Bool, began: UInt64)? {
        let file = open("/proc/\(process)/stat", O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var bytes = [UInt8](repeating: 0, count: 1_024)
        let count = read(file, &bytes, bytes.count)
        // The program's name may have anything in it, but nothing behind it has a parenthesis.
        guard count > 0, let name = bytes[..<count].lastIndex(of: UInt8(ascii: ")")) else {
            return nil
        }
        // The first is the state, the third field of the line; the start is its 22nd.
        let words = bytes[(name + 1)..<count].split(separator: UInt8(ascii: " "))
        guard words.count > 19, let state = words[0].first,
            let began = UInt64(String(decoding: words[19], as: UTF8.self))
        else { return nil }
        return ("ZXx".utf8.contains(state), began)
    }
}
