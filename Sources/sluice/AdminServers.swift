// SPDX-License-Identifier: Apache-2.0
import Config
import Control
import Frontend
import Glibc
import Reactor

/// The places where a running process can be asked: a unix socket, a loopback address, both or none.
struct AdminServers {
    private var servers: [AdminServer] = []
    private let inherited: [Successor.Handed]

    /// What a successor takes over: files of unix sockets it replaces by itself.
    var sockets: [Successor.Handed] {
        servers.filter { !$0.address.isUnix }
            .map { Successor.Handed(.admin, $0.address, $0.descriptor) }
    }

    /// Begins to listen.
    ///
    /// A place that the configuration names has to be free; the standard one need not be, since more
    /// than one Sluice may run.
    ///
    /// - Throws: `ConfigurationProblems`, `SystemError`.
    init(
        _ settings: AdminSettings, _ controller: Controller, inheriting all: [Successor.Handed]
    ) throws {
        inherited = all.filter { $0.purpose == .admin }
        let takesOver = Successor.isTakingOver
        let desk = AdminDesk(controller: controller)
        switch settings.socket {
        case .off: break
        case .path(let path):
            let address = try Address(parsing: "unix:" + path)
            servers.append(
                try AdminServer(address: address, takesOver: takesOver, handler: desk.answer))
        case .standard:
            guard let path = AdminSocket.standardPath,
                let address = try? Address(parsing: "unix:" + path)
            else { break }
            do throws(SystemError) {
                servers.append(
                    try AdminServer(address: address, takesOver: takesOver, handler: desk.answer))
            } catch {
                let why =
                    error.code == EADDRINUSE ? "another Sluice serves there" : error.description
                controller.log.write(
                    LogEvent(
                        .info, "There is no admin socket at \(path) for this process: \(why)."))
            }
        }
        if let text = settings.address {
            servers.append(try server(text, settings.addressPlace, desk))
        }
    }

    private func server(
        _ text: String, _ place: SourcePlace, _ desk: AdminDesk
    ) throws -> AdminServer {
        let sentence: String
        do {
            let address = try Address(parsing: text)
            if address.isLoopback && !address.isUnix {
                let socket = inherited.first { $0.address == address }?.descriptor
                return try AdminServer(
                    address: address, inheriting: socket, handler: desk.answer)
            }
            sentence =
                "admin.address: found '\(text)', allowed: a loopback address, as 127.0.0.1:9901:"
                + " whoever reaches it may stop Sluice"
        } catch {
            sentence = "admin.address: \(error)"
        }
        throw ConfigurationProblems([ConfigurationProblem(place: place, sentence: sentence)])
    }

    func start() throws { for server in servers { try server.start(sharing: servers.count) } }
    func stop() { for server in servers { server.stop() } }
}
