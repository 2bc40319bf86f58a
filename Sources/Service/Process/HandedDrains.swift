// SPDX-License-Identifier: Apache-2.0
import Foundation
import Frontend
import Glibc
import Reactor

/// The names of what is drained, on their way to the next process: in memory behind a descriptor, since a
/// variable of the environment takes 128 KiB at most (`MAX_ARG_STRLEN`, execve(2)).
enum HandedDrains {
    /// Writes names into memory behind a descriptor that a new process inherits.
    ///
    /// - Returns: the descriptor, which is the caller's to close.
    /// - Throws: `SystemError` when there is no descriptor or memory left.
    static func file(of drained: DrainedNames) throws(SystemError) -> Int32 {
        // Sets of strings can always be encoded.
        let text = [UInt8]((try? JSONEncoder().encode(drained)) ?? Data())
        let made: Result<Int32, SystemError> = text.withUnsafeBytes { bytes in
            do throws(SystemError) {
                return .success(try SealedMemory(bytes, name: "sluice drained").inheritable())
            } catch {
                return .failure(error)
            }
        }
        return try made.get()
    }

    /// Reads the names, and closes the descriptor; nothing where it has none.
    static func read(from descriptor: Int32) -> DrainedNames {
        let file = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
        guard let text = try? file.readToEnd() else { return DrainedNames() }
        return (try? JSONDecoder().decode(DrainedNames.self, from: text)) ?? DrainedNames()
    }
}

/// What a new process says when it serves: one byte, and the numbers of the descriptors that it was handed
/// and does not listen at, four bytes each.
enum ReadyWord {
    /// As many as a pipe takes at once (`PIPE_BUF`).
    private static let descriptorsMax = 1_000

    /// Says it; of more descriptors than go at once the rest is left out.
    static func write(_ untaken: [Int32], to descriptor: Int32) {
        var bytes: [UInt8] = [1]
        for number in untaken.prefix(descriptorsMax) {
            withUnsafeBytes(of: number) { bytes += $0 }
        }
        _ = Glibc.write(descriptor, bytes, bytes.count)
    }

    /// Hears it; nil where the process has ended without a word.
    static func read(from descriptor: Int32) -> Set<Int32>? {
        var bytes = [UInt8](repeating: 0, count: 4_096)
        let count = Glibc.read(descriptor, &bytes, bytes.count)
        guard count > 0, bytes[0] == 1 else { return nil }
        return Set(
            stride(from: 1, to: count - 3, by: 4).map { start in
                bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: start, as: Int32.self) }
            })
    }
}
