// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
public import Reactor
import Synchronization
import Wire

/// HTTP/1.1 for operators, on a unix socket that its owner alone may use or on a loopback address.
///
/// Beside the reactors: one thread accepts and reads requests, all side by side, so that one that comes
/// slowly delays no other; each that is whole has a thread of its own, a bounded number of them. Some
/// of these places are for questions about health alone (`/healthz`, `/readyz`).
public final class AdminServer: Sendable {
    /// From accept to the last byte of the request.
    static let requestMilliseconds: UInt64 = 5_000
    /// From the answer's first byte to the last that is taken.
    static let answerMilliseconds: UInt64 = 10_000
    /// Who has sent nothing whole for so long makes room, where somebody waits to be let in: time for a
    /// request that is on its way, and so little that a question about health behind hundreds of idle
    /// connections has its answer at once.
    static let evictMilliseconds: UInt64 = 2
    static let bodyBytesMax = 65_536

    /// How many requests there may be, bounded by the descriptors that the process keeps for itself:
    /// each takes one, and one more while the reactors are asked.
    struct Places: Sendable {
        /// Requests that are being read at one time.
        let reading: Int
        /// Requests that are being answered at one time, but for those about health.
        let answering: Int
        /// Being answered, of those about health, beside the others.
        let health: Int

        /// How many are taken of one kind.
        final class Taken: Sendable {
            private let count = Atomic<Int>(0)

            /// Takes one; how many are taken with it.
            func take() -> Int { count.wrappingAdd(1, ordering: .relaxed).newValue }
            /// Whether one is taken.
            var isAny: Bool { count.load(ordering: .relaxed) > 0 }
            func giveBack() { count.wrappingSubtract(1, ordering: .relaxed) }
        }

        init(reserve: Int) {
            reading = max(2, min(16, reserve / 10))
            answering = max(2, min(32, reserve / 5))
            health = max(2, min(8, reserve / 20))
        }
    }

    /// The address or path that clients of this server connect to.
    public let address: Address
    private let socket: Listener
    private let file: SocketFile?
    private let door: Mailbox<Bool>
    private let running = Places.Taken()
    private let runningHealth = Places.Taken()
    private let stories = Places.Taken()
    private let handler: @Sendable (AdminRequest) -> AdminAnswer
    private let gate: AdminGate
    private let refusals: AdminRefusals
    /// Where dashboards sit; nil where there are none.
    private let hall: LiveHall?
    private let thread = Mutex<ReactorThread?>(nil)

    /// Begins to listen.
    ///
    /// - Parameters:
    ///   - address: a unix socket or a loopback address.
    ///   - takesOver: whether a socket file that another process serves may be replaced.
    ///   - inherited: a socket that listens there already.
    ///   - isForThisMachine: whether requests have to name this machine as their host, so that no page can have a
    ///     browser ask.
    ///   - token: what requests that change something have to bring along; nil for nothing.
    ///   - hall: where dashboards sit, which are served at `/live`; nil for none, and for no page at all.
    ///   - refused: gets a sentence for the log where somebody asks for what is not theirs, now and then.
    ///   - handler: answers requests, on any thread.
    /// - Throws: `SystemError`, `EADDRINUSE` where another process serves.
    public init(
        address: Address, takesOver: Bool = false, inheriting inherited: Int32? = nil,
        isForThisMachine: Bool = true, token: AdminToken? = nil, hall: LiveHall? = nil,
        refused: @escaping @Sendable (String) -> Void = { _ in },
        handler: @escaping @Sendable (AdminRequest) -> AdminAnswer
    ) throws(SystemError) {
        self.handler = handler
        gate = AdminGate(
            isForThisMachine: isForThisMachine, hasPage: hall != nil, token: token)
        self.hall = hall
        refusals = AdminRefusals(refused)
        door = try Mailbox()
        guard address.isUnix else {
            socket =
                if let inherited {
                    Listener(adopting: inherited, as: address)
                } else { try Listener(address: address) }
            self.address = socket.address
            file = nil
            return
        }
        try Self.clear(address, takesOver: takesOver)
        let taken = SystemError.Subject.listening(address)
        // Under another name until only its owner may use it; the new name takes its place at once.
        let path = address.path
        let folder = path.lastIndex(of: "/").map { path[...$0] } ?? ""
        let names = ["\(path).\(getpid())", "\(folder).\(getpid())"]
        // A path that has all the bytes that there are is not to be longer meanwhile.
        let addresses = names.compactMap { try? Address(parsing: "unix:" + $0) }
        guard let passing = addresses.first else {
            throw SystemError(code: ENAMETOOLONG, call: "bind \(address)", subject: taken)
        }
        let listener: Listener
        do throws(SystemError) {
            listener = try Listener(address: passing)
        } catch {
            // Nobody has asked for the name that it has meanwhile.
            guard error.listeningAddress != nil else { throw error }
            throw SystemError(code: error.code, call: "bind \(address)", subject: taken)
        }
        guard chmod(passing.path, 0o600) == 0, rename(passing.path, path) == 0 else {
            let error = SystemError(code: errno, call: "bind \(address)", subject: taken)
            listener.removeFile()
            throw error
        }
        socket = listener
        file = SocketFile(path)
        self.address = address
    }

    /// Refuses a path where something else stands than a socket at which nobody listens.
    private static func clear(_ address: Address, takesOver: Bool) throws(SystemError) {
        switch try SocketPlace(address) {
        case .free, .abandoned: return
        case .taken where takesOver: return
        case .taken:
            throw SystemError(
                code: EADDRINUSE, call: "bind \(address)", subject: .listening(address))
        case .other(let what): throw .occupied(address, by: what)
        }
    }

    private var keptPath: String { "\(address.path).kept-\(getpid())" }

    /// Keeps the socket's file under a second name (link(2)), while another process may take its place.
    public func keepFile() {
        guard file != nil else { return }
        unlink(keptPath)
        _ = link(address.path, keptPath)
    }

    /// Puts the file back in its place, whoever has had that meanwhile.
    public func restoreFile() {
        guard file != nil else { return }
        rename(keptPath, address.path)
    }

    /// Takes the second name away.
    public func forgetKeptFile() {
        if file != nil { unlink(keptPath) }
    }

    /// The listening socket's descriptor, which stays the server's; a successor gets a copy.
    public var descriptor: Int32 { socket.descriptor }

    /// Starts to serve; `count` servers share what the process keeps for them.
    public func start(sharing count: Int = 1) throws(SystemError) {
        let started = try ReactorThread.start(name: "sluice-admin") { [self] in
            var desk = AdminReading(self, Places(reserve: OpenFiles.ownReserve / max(1, count)))
            while desk.turn(socket, door) {}
        }
        thread.withLock { $0 = started }
    }

    /// Stops; takes the socket file away if it is still its own.
    ///
    /// - Parameter milliseconds: how long the answers that are under way may take to go out.
    public func stop(finishingWithin milliseconds: UInt64 = 0) {
        door.post(true)
        thread.withLock { $0 }?.join()
        file?.remove()
        let end = Clock.nowMilliseconds() + milliseconds
        while running.isAny || runningHealth.isAny || stories.isAny,
            Clock.nowMilliseconds() < end
        { usleep(1_000) }
    }

    /// Answers a request on a thread of its own, if there is a place for it.
    func answer(_ message: AdminMessage, on stream: consuming AdminStream, _ places: Places) {
        let taken = message.isAboutHealth ? runningHealth : running
        let most = message.isAboutHealth ? places.health : places.answering
        let descriptor = stream.release()
        let started =
            taken.take() <= most
            ? try? ReactorThread.start(name: "sluice-request") { [self] in
                let stream = AdminStream(adopting: descriptor)
                // It came while this process stood still, and whoever asked has given up since.
                if stream.isAbandoned {
                    taken.giveBack()
                    return
                }
                serve(message, stream, in: taken)
            } : nil
        if started == nil {
            taken.giveBack()
            AdminStream(adopting: descriptor).sendNow(
                AdminAnswer(
                    status: 503,
                    text: "As many requests are being answered as there may be: ask again later."))
        }
    }

    /// Answers, and gives the place back in which it does so.
    private func serve(
        _ message: AdminMessage, _ stream: consuming AdminStream, in taken: Places.Taken
    ) {
        var isGivenBack = false
        defer { if !isGivenBack { taken.giveBack() } }
        let until = Clock.nowMilliseconds() + Self.answerMilliseconds
        let answer: AdminAnswer
        do throws(AdminRefusal) {
            do throws(AdminRefusal) {
                try gate.check(message.head)
            } catch {
                refusals.note(error, at: "\(address)", nowMilliseconds: Clock.nowMilliseconds())
                throw error
            }
            if let hall, message.asksForFeed {
                let head = try LiveOpening.answer(to: message)
                guard hall.reserve() else {
                    throw AdminRefusal(
                        503,
                        "There are \(LiveHall.seatsMax) dashboards, which is the most: close one.")
                }
                if stream.send(head, until: until) {
                    hall.seat(stream.release())
                } else {
                    hall.giveBack()
                }
                return
            }
            answer = handler(
                try AdminRequest(
                    message.head, body: message.body, user: address.isUnix ? stream.user : nil))
        } catch {
            answer = error.answer
        }
        if let story = answer.story, !message.isHead {
            // Who stays for long takes no place of those who are answered at once.
            taken.giveBack()
            isGivenBack = true
            _ = stories.take()
            AdminOutlet(stream).tell(
                answer.bytes(
                    omittingBody: true, isForThisMachine: gate.isForThisMachine), story)
            stories.giveBack()
            return
        }
        answer.send(
            on: stream, omittingBody: message.isHead, isForThisMachine: gate.isForThisMachine,
            until: until)
    }
}
