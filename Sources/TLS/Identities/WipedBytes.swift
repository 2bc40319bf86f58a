// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import Glibc

/// Bytes that may be a private key: wiped when nobody refers to them any more.
final class WipedBytes {
    private let memory: UnsafeMutableRawBufferPointer
    /// How many of them are in use.
    private(set) var count = 0

    init(capacity: Int) {
        memory = .allocate(byteCount: max(1, capacity), alignment: 1)
    }

    deinit {
        OPENSSL_cleanse(memory.baseAddress, memory.count)
        memory.deallocate()
    }

    var bytes: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: memory[..<count])
    }

    /// Adds one; the capacity bounds how many there may be.
    func append(_ byte: UInt8) {
        guard count < memory.count else { return }
        memory[count] = byte
        count += 1
    }

    /// More than any certificate chain: what is larger is another file.
    static let fileBytesMax = 1 << 20

    /// Reads a whole file.
    static func read(
        _ path: String, bytesMax: Int = fileBytesMax
    ) throws(IdentityProblem) -> WipedBytes {
        // A pipe without a writer would be waited for: for ever, and with all who ask for something then.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)
        guard descriptor >= 0 else { throw IdentityProblem(path, .unreadable(errno)) }
        defer { close(descriptor) }
        var status = stat()
        if fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFDIR {
            throw IdentityProblem(path, .directory)
        }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw IdentityProblem(path, .noFile)
        }
        let whole = WipedBytes(capacity: bytesMax)
        while true {
            let rest = UnsafeMutableRawBufferPointer(rebasing: whole.memory[whole.count...])
            if rest.isEmpty { throw IdentityProblem(path, .tooLarge) }
            let got = Glibc.read(descriptor, rest.baseAddress, rest.count)
            if got < 0, errno == EINTR { continue }
            guard got >= 0 else { throw IdentityProblem(path, .unreadable(errno)) }
            if got == 0 { return whole }
            whole.count += got
        }
    }
}
