// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Glibc
import Reactor

/// What people write behind `--listen`.
enum ListenOption {
    /// Refuses what is no address, and an address that stands twice.
    static func check(_ texts: [String], isArgument: Bool = false) throws {
        var seen: Set<String> = []
        for text in texts {
            for address in try addresses(text, isArgument: isArgument) {
                let isFree = (try? Address(parsing: address))?.port == 0
                guard isFree || seen.insert(address).inserted else {
                    throw ValidationError(
                        "\(address) stands twice among the addresses: give it once.")
                }
            }
        }
    }

    /// The addresses that are meant, as a configuration has them.
    ///
    /// A port alone, or with `localhost` in front, is that port for this machine only, on IPv4 and IPv6.
    ///
    /// - Throws: `ValidationError` for what is no address.
    static func addresses(_ text: String, isArgument: Bool = false) throws -> [String] {
        let rest = text.hasPrefix("localhost:") ? text.dropFirst("localhost:".count) : text[...]
        if let port = UInt16(rest) { return loopback(port) }
        do throws(AddressFault) {
            _ = try Address(parsing: text)
        } catch {
            let start = isArgument ? "An address to listen at is" : "--listen takes"
            if !text.isEmpty, text.allSatisfy({ ("0"..."9").contains($0) }) {
                throw ValidationError("\(text) is no port: a port is a number from 0 to 65535.")
            }
            throw ValidationError(
                "\(start) a port (8443), an address with a port (192.0.2.1:8443, :8443 for"
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

    /// Says what it is called here; `app` is how an app is named to the command that has it, nil where none is.
    func refuse(app: ((String) -> String)? = nil) throws {
        guard let port else { return }
        let start =
            app.map {
                "the app's port stands by itself, as in `\($0(port))`. For the port of Sluice, "
            } ?? ""
        throw ValidationError(
            "There is no --port: \(start)--listen \(port) is for this machine, --listen :\(port) for"
                + " everybody.")
    }
}
