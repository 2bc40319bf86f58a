// SPDX-License-Identifier: Apache-2.0
import Glibc
import Reactor
import Service

/// Where quick mode listens when nobody has said where: on 8443, or the next port that is free.
struct QuickListening: Equatable {
    /// Addresses as a configuration has them.
    let addresses: [String]
    /// That the usual port is taken, and by whom.
    var notice: String?
    /// The sockets that listen there already; where another socket was inherited there is none.
    ///
    /// They are kept from the choice on, so that of two that start at once each has a port of its own.
    var held: [Held] = []

    /// A socket that listens, which whoever serves is to own.
    struct Held: Equatable {
        let address: Address
        let descriptor: Int32
    }

    static let usualPort: UInt16 = 8443

    /// Finds a port that is free on all of the hosts; hosts that the machine does not have are left out.
    ///
    /// If there is none, the usual one is named, and binding it will say who has it. `appPort` is left to the app,
    /// which may not be up yet.
    static func choose(
        hosts: [String], from usualPort: UInt16, besides appPort: UInt16? = nil,
        inherited: [Address] = []
    ) -> QuickListening {
        for port in usualPort...UInt16(clamping: Int(usualPort) + Int(FreePort.triedMax) - 1) {
            guard port != appPort, let usable = usable(hosts, port, inherited) else { continue }
            var chosen = QuickListening(addresses: usable.hosts.map { "\($0):\(port)" })
            chosen.held = usable.held
            if port != usualPort {
                let holder = holder(hosts, usualPort)
                chosen.notice =
                    usualPort == appPort
                    ? "port \(usualPort) is the app's, so Sluice listens on \(port). Use \(port) in your page's URL."
                    : "port \(usualPort) is taken\(holder.map { " by \($0)" } ?? ""), so Sluice listens"
                        + " on \(port). Use \(port) in your page's URL, or stop that program."
            }
            return chosen
        }
        return QuickListening(addresses: hosts.map { "\($0):\(usualPort)" })
    }

    /// The hosts on which the port can be bound, and the sockets that have it now; nil where one of them has it taken.
    private static func usable(
        _ hosts: [String], _ port: UInt16, _ inherited: [Address]
    ) -> (hosts: [String], held: [Held])? {
        var usable: [String] = []
        var held: [Held] = []
        for host in hosts {
            guard let address = try? Address(parsing: "\(host):\(port)") else { return nil }
            // What stands at our own door is no reason to go elsewhere.
            if inherited.contains(address) {
                usable.append(host)
                continue
            }
            do throws(SystemError) {
                held.append(
                    Held(
                        address: address, descriptor: try Listener(address: address).release()))
                usable.append(host)
            } catch {
                if error.code == EADDRINUSE {
                    for socket in held { close(socket.descriptor) }
                    return nil
                }
                // Many containers have no IPv6.
                let isMissing = error.code == EAFNOSUPPORT || error.code == EADDRNOTAVAIL
                if !isMissing || hosts.count == 1 { usable.append(host) }
            }
        }
        return usable.isEmpty ? nil : (usable, held)
    }

    private static func holder(_ hosts: [String], _ usualPort: UInt16) -> String? {
        hosts.lazy.compactMap { host in
            (try? Address(parsing: "\(host):\(usualPort)")).flatMap(PortHolder.sentence)
        }.first
    }
}
