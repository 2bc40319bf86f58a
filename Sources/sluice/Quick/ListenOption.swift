// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Glibc
import Reactor

/// What people write behind `--listen`.
enum ListenOption {
    /// The addresses that are meant, as a configuration has them.
    ///
    /// A port alone, or with `localhost` in front, is that port for this machine only, on IPv4 and IPv6.
    ///
    /// - Throws: `ValidationError` for what is no address.
    static func addresses(_ text: String) throws -> [String] {
        let rest = text.hasPrefix("localhost:") ? text.dropFirst("localhost:".count) : text[...]
        if let port = UInt16(rest) { return loopback(port) }
        do throws(AddressFault) {
            _ = try Address(parsing: text)
        } catch {
            throw ValidationError(
                "--listen takes a port (8443), an address with a port (192.0.2.1:8443, :8443 for"
                    + " everybody) or unix:/path, found \(text).")
        }
        return [text]
    }

    /// This machine's own addresses with a port; free ports differ, so port 0 has one address only.
    private static func loopback(_ port: UInt16) -> [String] {
        let hasIPv6 = (try? Listener(address: .loopback(port: 0, isIPv6: true))) != nil
        return ["127.0.0.1:\(port)"] + (hasIPv6 && port > 0 ? ["[::1]:\(port)"] : [])
    }
}

/// What other programs call `--listen`; it is told apart from a slip, and not listed in the help.
struct PortOption: ParsableArguments {
    @Option(name: [.customLong("port"), .customShort("p")], help: .hidden)
    var port: String?

    /// Says what it is called here.
    func validate() throws {
        guard let port else { return }
        throw ValidationError(
            "There is no --port: --listen \(port) listens on that port for this machine,"
                + " --listen :\(port) for everybody.")
    }
}
