// SPDX-License-Identifier: Apache-2.0
import Admin
import Config
import Frontend
import Glibc
import Ledger
import Log
import Reactor

/// Who answers at a place, and where its dashboards sit.
private struct AdminPlace {
    let hall: LiveHall
    let desk: AdminDesk
}

/// The places where a running process can be asked: a unix socket, a loopback address, both or none; and the address
/// at which it answers for metrics alone.
struct AdminServers {
    private var servers: [AdminServer] = []
    /// The one that has metrics and nothing else.
    private var metrics: AdminServer?
    private var all: [AdminServer] { servers + [metrics].compactMap(\.self) }
    private let inherited: [Successor.Handed]
    /// Where dashboards of all servers sit.
    private let hall: LiveHall
    private let log: LogWriter

    /// What a successor takes over: files of unix sockets it replaces by itself.
    var sockets: [Successor.Handed] {
        all.filter { !$0.address.isUnix }
            .map { Successor.Handed(.admin, $0.address, $0.descriptor) }
    }

    /// What `--admin` takes: the file of the unix socket, else the address; nil where there is neither.
    var place: String? {
        let places = servers.map(\.address)
        return places.first(where: \.isUnix)?.hostString ?? places.first?.description
    }

    /// Where metrics are answered and nothing else; nil where nobody wants that.
    var metricsAddress: Address? { metrics?.address }

    /// Begins to listen.
    ///
    /// A place that the configuration names has to be free; the standard one need not be, since more
    /// than one Sluice may run.
    ///
    /// - Throws: `ConfigurationProblems`, `SystemError`.
    init(
        _ configuration: Configuration, _ controller: Controller,
        inheriting handed: [Successor.Handed]
    ) throws {
        let settings = configuration.admin
        inherited = handed.filter { $0.purpose == .admin }
        log = controller.log
        let takesOver = Successor.isTakingOver
        let live = controller.live
        hall = try LiveHall { live.texts(for: $0) }
        let desk = AdminPlace(hall: hall, desk: AdminDesk(controller: controller))
        // First what may fail: the file of a unix socket takes the place of the predecessor's.
        if let text = settings.address {
            let made = try server(
                "admin.address", text, settings.addressPlace, isForThisMachine: true,
                token: settings.token.map(AdminToken.init), hall: hall, desk.desk.answer)
            servers.append(made)
        }
        let metrics = configuration.metrics
        if let text = metrics.address {
            // On this machine alone, no page may have a browser ask under a name of its own.
            let isLoopback = (try? Address(parsing: text))?.isLoopback ?? false
            self.metrics = try server(
                "metrics.address", text, metrics.addressPlace, isForThisMachine: isLoopback,
                MetricsDesk(controller: controller).answerAlone)
        }
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
        // What the process before this one had listened at, and nobody wants any more.
        for socket in inherited where !all.contains(where: { $0.descriptor == socket.descriptor }) {
            close(socket.descriptor)
        }
    }

    /// A server at the usual place, or beside it where another process of the user serves.
    ///
    /// A successor takes over the place of the process that has started it, and no other's.
    private static func server(
        at path: String, _ takesOver: Bool, _ desk: AdminPlace
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
                    takesOver: takesOver && Self.isPredecessors(address), hall: desk.hall,
                    handler: desk.desk.answer)
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
        named path: String, _ place: SourcePlace, _ takesOver: Bool, _ desk: AdminPlace
    ) throws -> AdminServer {
        let sentence: String
        do {
            let address = try Address(parsing: "unix:" + path)
            return try AdminServer(
                address: address, takesOver: takesOver && isPredecessors(address),
                hall: desk.hall, handler: desk.desk.answer)
        } catch let error as SystemError {
            sentence = PortHolder.sentence(on: error)
        } catch {
            sentence = "\(error)"
        }
        throw ConfigurationProblems([
            ConfigurationProblem(place: place, sentence: "admin.socket: \(sentence)")
        ])
    }

    /// A server at an address that a key of the configuration gives.
    private func server(
        _ key: String, _ text: String, _ place: SourcePlace, isForThisMachine: Bool,
        token: AdminToken? = nil, hall: LiveHall? = nil,
        _ answer: @escaping @Sendable (AdminRequest) -> AdminAnswer
    ) throws -> AdminServer {
        let sentence: String
        do {
            // The assembly has judged it.
            let address = try Address(parsing: text)
            let socket = inherited.first { $0.address == address }?.descriptor
            let log = log
            return try AdminServer(
                address: address, inheriting: socket, isForThisMachine: isForThisMachine,
                token: token, hall: hall, refused: { log.write(LogEvent(.warning, $0)) },
                handler: answer)
        } catch let error as SystemError {
            sentence = "\(key): \(PortHolder.sentence(on: error))"
        } catch {
            sentence = "\(key): \(error)"
        }
        throw ConfigurationProblems([ConfigurationProblem(place: place, sentence: sentence)])
    }

    /// Keeps the files of unix sockets under a second name, while a new process may take their places.
    func keep() { for server in servers { server.keepFile() } }

    /// Puts those back whose places another process has had that is gone.
    func restore() { for server in servers { server.restoreFile() } }

    /// Takes the second names away.
    func forgetKept() { for server in servers { server.forgetKeptFile() } }

    func start() throws { for server in all { try server.start(sharing: all.count) } }

    /// Stops, and lets answers that are under way go out for so long.
    func stop(finishingWithin milliseconds: UInt64 = 0) {
        for server in all { server.stop(finishingWithin: milliseconds) }
        hall.stop()
    }
}
