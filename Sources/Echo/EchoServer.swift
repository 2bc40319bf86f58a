// SPDX-License-Identifier: Apache-2.0
public import Reactor

/// An echo app: a plain `ws` server that sends back each message as it came.
///
/// One reactor on a thread of its own. Frames are echoed as they arrive, so a message of any size
/// takes no more memory than a small one, and a client that does not read stops being read.
public final class EchoServer: Sendable {
    enum Command: Sendable {
        case stop
    }

    /// Where it listens, with the ports that it got.
    public let addresses: [Address]
    private let mailbox: Mailbox<Command>
    private let thread: ReactorThread

    private init(addresses: [Address], mailbox: Mailbox<Command>, thread: ReactorThread) {
        self.addresses = addresses
        self.mailbox = mailbox
        self.thread = thread
    }

    deinit {
        mailbox.post(.stop)
    }

    /// Binds the addresses and serves them until `stop`.
    ///
    /// Raises the process's limit of open files as far as it may.
    ///
    /// - Parameters:
    ///   - listening: the addresses; port 0 means any free one.
    ///   - cpu: the core to run on; nil leaves the choice to the system.
    ///   - connectionsMax: how many connections there may be at once.
    /// - Returns: the running server; it stops when the last reference goes.
    /// - Throws: `SystemError` when an address cannot be had.
    public static func start(
        listening: [Address], cpu: Int? = nil, connectionsMax: Int = 1 << 16
    ) throws(SystemError) -> EchoServer {
        OpenFiles.raiseLimit()
        let mailbox = try Mailbox<Command>()
        var listeners: [(descriptor: Int32, address: Address)] = []
        do {
            for address in listening {
                let listener = try Listener(address: address)
                let bound = listener.address
                listeners.append((listener.release(), bound))
            }
            // Made here, so that what can fail fails before the thread runs.
            let thread = try ReactorThread.start(name: "echo", cpu: cpu) { [listeners] in
                guard let poller = try? Poller() else {
                    for listener in listeners { _ = Socket(adopting: listener.descriptor) }
                    return
                }
                var loop = EchoLoop(
                    poller: poller, mailbox: mailbox, listeners: listeners,
                    connectionsMax: connectionsMax)
                loop.run()
            }
            return EchoServer(
                addresses: listeners.map(\.address), mailbox: mailbox, thread: thread)
        } catch {
            for listener in listeners { _ = Socket(adopting: listener.descriptor) }
            throw error
        }
    }

    /// The same for addresses as text: `127.0.0.1:0`, `[::1]:9000`, `unix:/run/echo.sock`.
    public static func start(listening addresses: [String], cpu: Int? = nil) throws -> EchoServer {
        try start(listening: addresses.map { try Address(parsing: $0) }, cpu: cpu)
    }

    /// Closes all connections and stops listening; returns when that is done.
    public func stop() {
        mailbox.post(.stop)
        thread.join()
    }
}
