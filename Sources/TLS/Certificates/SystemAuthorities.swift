// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import Glibc

/// What the system trusts, where OpenSSL looks for it.
enum SystemAuthorities {
    /// Has a context know them.
    ///
    /// OpenSSL's default is a file with all of them, whose reading takes longer than a handshake and all
    /// that follows, and a directory in which it looks up the one that it needs. Where the directory
    /// is filled, as on Debian, from the same source as the file, it does alone.
    ///
    /// - Throws: `TLSError` where the environment names a pipe for that file, which OpenSSL would wait for.
    static func load(into context: OpaquePointer) throws(TLSError) {
        let file = getenv(X509_get_default_cert_file_env()).map { String(cString: $0) }
        if let file { try TLSContext.refusePipe(file) }
        let isDefault = file == nil && getenv(X509_get_default_cert_dir_env()) == nil
        if isDefault, let directory = X509_get_default_cert_dir(), isHashed(directory),
            SSL_CTX_load_verify_dir(context, directory) == 1
        {
            return
        }
        _ = SSL_CTX_set_default_verify_paths(context)
    }

    /// Whether a directory has files named by the hash of a subject: 8 digits and `.0`.
    static func isHashed(_ path: UnsafePointer<CChar>) -> Bool {
        guard let directory = opendir(path) else { return false }
        defer { closedir(directory) }
        while let entry = readdir(directory) {
            let isHash = withUnsafeBytes(of: entry.pointee.d_name) { name in
                let length = name.firstIndex(of: 0) ?? name.count
                return length == 10 && name[8] == UInt8(ascii: ".") && name[9] == UInt8(ascii: "0")
                    && name.prefix(8).allSatisfy { isHexadecimal($0) }
            }
            if isHash { return true }
        }
        return false
    }

    private static func isHexadecimal(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
            || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
    }
}
