// SPDX-License-Identifier: Apache-2.0
import Glibc

/// From where an address can be reached, as Chromium tells addresses apart to protect the more private ones
/// from pages of the less private (Local Network Access, https://wicg.github.io/local-network-access).
enum AddressSpace: Int, Comparable {
    case everywhere
    case network
    case machine

    static func < (left: AddressSpace, right: AddressSpace) -> Bool {
        left.rawValue < right.rawValue
    }

    /// The space of an address in numbers; nil for a text that is none.
    init?(_ address: String) {
        var bytes = [UInt8](repeating: 0, count: 16)
        let bare = String(address.prefix { $0 != "%" })
        if inet_pton(AF_INET, bare, &bytes) == 1 {
            self = Self.ofIPv4(bytes[0], bytes[1])
            return
        }
        guard inet_pton(AF_INET6, bare, &bytes) == 1 else { return nil }
        if bytes[..<10].allSatisfy({ $0 == 0 }), bytes[10] == 0xFF, bytes[11] == 0xFF {
            self = Self.ofIPv4(bytes[12], bytes[13])
        } else if bytes[..<15].allSatisfy({ $0 == 0 }) {
            // ::1, and :: as well, which leads to this machine.
            self = .machine
        } else {
            self = bytes[0] & 0xE0 == 0x20 || bytes[0] == 0xFF ? .everywhere : .network
        }
    }

    /// By RFC 1918, 3927, 5735 and 6598.
    private static func ofIPv4(_ first: UInt8, _ second: UInt8) -> AddressSpace {
        switch (first, second) {
        case (127, _), (0, _): .machine
        case (10, _), (192, 168), (169, 254), (172, 16...31), (100, 64...127): .network
        default: .everywhere
        }
    }
}

extension Doctor {
    /// Whether the page is less private than the socket: then Chromium asks the user, or refuses.
    mutating func compareSpaces() {
        guard let page = options.page, let socket = address.flatMap({ AddressSpace($0.text) }),
            socket > .everywhere
        else { return }
        guard let origin = space(of: page) else {
            diagnosis.notes.append(
                "The page's host \(page.host) has no address here, so it was not judged whether Chromium"
                    + " lets it open a socket to \(socket == .machine ? "this very machine" : "the local network")"
                    + " (Local Network Access).")
            return
        }
        guard origin < socket else { return }
        // By the specification the browser asks here too.
        guard origin == .everywhere else {
            diagnosis.notes.append(
                "The specification of Local Network Access has browsers ask the user before a page of the"
                    + " local network may open a socket to this very machine. Chromium 156 does not."
            )
            return
        }
        let target = socket == .machine ? "this very machine" : "the local network"
        let permission = socket == .machine ? "loopback-network" : "local-network"
        if page.isSecure {
            diagnosis.notes.append(
                "Chromium (from version 147) asks the user before a page of \(page.origin) may open a"
                    + " socket to \(target) (Local Network Access): without a yes it fails with"
                    + " ERR_BLOCKED_BY_LOCAL_NETWORK_ACCESS_CHECKS. A frame needs"
                    + " allow=\"\(permission)\".")
            return
        }
        reserve(
            .localNetwork,
            "The socket works, but Chromium (from version 147) lets no page that came by plain http from"
                + " \(page.host) open one to \(target): ERR_BLOCKED_BY_LOCAL_NETWORK_ACCESS_CHECKS.",
            "Serve the page by https, then Chromium asks the user; or serve it from "
                + (socket == .machine ? "this machine, as http://localhost." : "the same network."))
    }

    /// The most private of the page's addresses; nil where its name has none.
    private func space(of page: SocketURL) -> AddressSpace? {
        if page.isLocal { return .machine }
        if let given = options.addresses[page.host.lowercased()] {
            return given.compactMap { AddressSpace($0) }.max()
        }
        guard case .success(let found) = find(page.host, port: page.port) else { return nil }
        return found.compactMap { AddressSpace($0.text) }.max()
    }
}
