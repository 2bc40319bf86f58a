// SPDX-License-Identifier: Apache-2.0
import Config
import Glibc
import Reactor

/// Files that a configuration names, beside the certificates that listeners show.
extension Assembly {
    /// What each of them holds, as a number that is another one for another content in this process.
    ///
    /// Pipes and devices are left out: to read one takes away what it has.
    static func contents(ofFilesIn configuration: Configuration) -> [String: Int] {
        let upstreams = configuration.upstreams.values.map(\.tls)
        let clients = configuration.listen.compactMap(\.tls?.clientCertificates)
        let tokens = configuration.routes.compactMap(\.access?.token)
        let paths =
            upstreams.compactMap(\.authorities)
            + upstreams.compactMap(\.certificate).flatMap { [$0.chain, $0.key] }
            + clients.map(\.authorities) + clients.compactMap(\.revoked)
            + tokens.compactMap(\.file) + tokens.compactMap(\.authorities)
            + configuration.routes.compactMap(\.access?.basic?.file)
        var contents: [String: Int] = [:]
        for path in Set(paths) {
            var status = stat()
            guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG,
                let bytes = try? WholeFile.read(path)
            else { continue }
            contents[path] = bytes.hashValue
        }
        return contents
    }

    /// Those that held something else before, by their paths.
    func changedFiles(since before: Assembly) -> [String] {
        files.filter { path, content in before.files[path].map { $0 != content } ?? false }
            .keys.sorted()
    }
}
