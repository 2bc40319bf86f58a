// SPDX-License-Identifier: Apache-2.0
import Admin
import Config
import Frontend
import Glibc
import Ledger
import Log
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

    /// What `--admin` takes: the file of the unix socket, else the address; nil where there is neither.
    var place: String? {
        let all = servers.map(\.address)
        return all.first(where: \.isUnix)?.hostString ?? all.first?.description
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
            servers.append(try Self.server(named: path, settings.socketPlace, takesOver, desk))
        case .standard:
            guard let path = AdminSocket.makePlace() else {
                controller.log.write(
                    LogEvent(
                        .warning,
                        "There is no admin socket: \(AdminSocket.userFolder) \(AdminSocket.userFolderFault)."
                            + " Set XDG_RUNTIME_DIR or TMPDIR to a folder of yours, or admin.socket in a"
                            + " configuration."))
                break
            }
            AdminSocket.removeDead(beside: path)
            do throws(SystemError) {
                servers.append(try Self.server(at: path, takesOver, desk))
            } catch {
                controller.log.write(
                    LogEvent(
                        .warning, "There is no admin socket at \(path): \(error.description)."))
            }
        }
        if let text = settings.address {
            servers.append(try server(text, settings.addressPlace, desk))
        }
    }

    /// A server at the usual place, or beside it where another process of the user serves.
    ///
    /// A successor takes over the place of the process that has started it, and no other's.
    private static func server(
        at path: String, _ takesOver: Bool, _ desk: AdminDesk
    ) throws(SystemError) -> AdminServer {
        let own = AdminSocket.ownPlace(beside: path, of: takesOver ? getppid() : getpid())
        for (index, file) in [path, own].enumerated() {
            guard let address = try? Address(parsing: "unix:" + file) else {
                throw SystemError(
                    code: ENAMETOOLONG, call: "bind \(file)",
                    subject: .file(file))
            }
            do throws(SystemError) {
                return try AdminServer(
                    address: address,
                    takesOver: takesOver && Self.isPredecessors(address), handler: desk.answer)
            } catch  where index == 0 && error.code == EADDRINUSE {
                continue
            }
        }
        let place = (try? Address(parsing: "unix:" + path)).map(SystemError.Subject.listening)
        throw SystemError(
            code: EADDRINUSE, call: "bind \(path)", subject: place ?? .file(path))
    }

    /// Whether the process that has started this one serves there.
    private static func isPredecessors(_ address: Address) -> Bool {
        AdminClient.process(at: address) == getppid()
    }

    /// A server at the place that the configuration names, which has to be free.
    private static func server(
        named path: String, _ place: SourcePlace, _ takesOver: Bool, _ desk: AdminDesk
    ) throws -> AdminServer {
        let sentence: String
        do {
            let address = try Address(parsing: "unix:" + path)
            return try AdminServer(
                address: address, takesOver: takesOver && isPredecessors(address),
                handler: desk.answer)
        } catch let error as SystemError {
            sentence = PortHolder.sentence(on: error)
        } catch {
            sentence = "\(error)"
        }
        throw ConfigurationProblems([
            ConfigurationProblem(place: place, sentence: "admin.socket: \(sentence)")
        ])
    }

    private func server(
        _ text: String, _ place: SourcePlace, _ desk: AdminDesk
    ) throws -> AdminServer {
        let sentence: String
        do {
            // The assembly has judged it.
            let address = try Address(parsing: text)
            let socket = inherited.first { $0.address == address }?.descriptor
            return try AdminServer(address: address, inheriting: socket, handler: desk.answer)
        } catch let error as SystemError {
            sentence = "admin.address: \(PortHolder.sentence(on: error))"
        } catch {
            sentence = "admin.address: \(error)"
        }
        throw ConfigurationProblems([ConfigurationProblem(place: place, sentence: sentence)])
    }

    func start() throws { for server in servers { try server.start(sharing: servers.count) } }

    /// Stops, and lets answers that are under way go out for so long.
    func stop(finishingWithin milliseconds: UInt64 = 0) {
        for server in servers { server.stop(finishingWithin: milliseconds) }
    }
}
