// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
public import Reactor
import Synchronization
import Wire

/// HTTP/1.1 for operators, on a unix socket that its owner alone may use or on a loopback address.
///
/// Beside the reactors: a thread that accepts, and one for each request, a bounded number of them.
public final class AdminServer: Sendable {
    /// Requests at one time.
    static let requestsMax = 32
    /// How long a client may take to send its request or to read its answer.
    static let patienceSeconds = 10
    static let bodyBytesMax = 65_536

    /// Where it listens.
    public let address: Address
    private let socket: Listener
    private let file: SocketFile?
    private let door: Mailbox<Bool>
    private let running = Atomic<Int>(0)
    private let handler: @Sendable (AdminRequest) -> AdminAnswer
    private let thread = Mutex<ReactorThread?>(nil)

    /// Begins to listen.
    ///
    /// - Parameters:
    ///   - address: a unix socket or a loopback address.
    ///   - takesOver: whether a socket file that another process serves may be replaced.
    ///   - inherited: a socket that listens there already.
    ///   - handler: answers requests, on any thread.
    /// - Throws: `SystemError`, `EADDRINUSE` where another process serves.
    public init(
        address: Address, takesOver: Bool = false, inheriting inherited: Int32? = nil,
        handler: @escaping @Sendable (AdminRequest) -> AdminAnswer
    ) throws(SystemError) {
        self.handler = handler
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
        if !takesOver, SocketFile.isServed(address) {
            throw SystemError(code: EADDRINUSE, call: "bind \(address)")
        }
        // Under another name until only its owner may use it; the new name takes its place at once.
        let path = address.path
        guard let passing = try? Address(parsing: "unix:\(path).\(getpid())") else {
            throw SystemError(code: ENAMETOOLONG, call: "bind \(address)")
        }
        let listener = try Listener(address: passing)
        guard chmod(passing.path, 0o600) == 0, rename(passing.path, path) == 0 else {
            let error = SystemError(code: errno, call: "bind \(address)")
            listener.removeFile()
            throw error
        }
        socket = listener
        file = SocketFile(path)
        self.address = address
    }

    /// The listening socket.
    public var descriptor: Int32 { socket.descriptor }

    /// Starts to serve.
    public func start() throws(SystemError) {
        let started = try ReactorThread.start(name: "sluice-admin") { [self] in
            var waitFor = [
                pollfd(fd: socket.descriptor, events: Int16(POLLIN), revents: 0),
                pollfd(fd: door.descriptor, events: Int16(POLLIN), revents: 0),
            ]
            while true {
                _ = poll(&waitFor, 2, -1)
                if !door.take().isEmpty { return }
                accept()
            }
        }
        thread.withLock { $0 = started }
    }

    /// Stops; takes the socket file away if it is still its own.
    public func stop() {
        door.post(true)
        thread.withLock { $0 }?.join()
        file?.remove()
    }

    private func accept() {
        while case .accepted(let descriptor, _) = socket.accept() {
            let count = running.wrappingAdd(1, ordering: .relaxed).newValue
            let started =
                count <= Self.requestsMax
                ? try? ReactorThread.start(name: "sluice-request") { [self] in
                    serve(AdminStream(adopting: descriptor))
                    running.wrappingSubtract(1, ordering: .relaxed)
                } : nil
            if started == nil {
                running.wrappingSubtract(1, ordering: .relaxed)
                close(descriptor)
            }
        }
    }

    private func serve(_ stream: consuming AdminStream) {
        stream.setPatience(seconds: Self.patienceSeconds)
        var parser = RequestHeadParser(limits: HeadLimits())
        while let bytes = stream.receive() {
            switch bytes.withUnsafeBytes({ parser.append($0) }) {
            case .needsMore: continue
            case .failed(let fault):
                stream.send(
                    AdminAnswer(status: 400, text: fault.sentence).bytes(omittingBody: false))
                return
            case .complete(let head, let consumed):
                let isHead = head.method == "HEAD"
                let answer = self.answer(head, bytes.dropFirst(consumed), stream)
                stream.send(answer.bytes(omittingBody: isHead))
                return
            }
        }
    }

    private func answer(
        _ head: RequestHead, _ rest: ArraySlice<UInt8>, _ stream: borrowing AdminStream
    ) -> AdminAnswer {
        var body = Data(rest)
        if let text = head.fields.first("content-length") {
            guard let length = Int(String(decoding: text, as: UTF8.self)),
                (0...Self.bodyBytesMax).contains(length)
            else { return AdminAnswer(status: 413, text: "the body is too long") }
            while body.count < length {
                guard let more = stream.receive() else {
                    return AdminAnswer(status: 400, text: "the body is not whole")
                }
                body.append(contentsOf: more)
            }
            body = body.prefix(length)
        } else if head.fields.first("transfer-encoding") != nil {
            return AdminAnswer(status: 411, text: "a body needs a Content-Length")
        }
        do throws(AdminRefusal) {
            return handler(try AdminRequest(head, body: body))
        } catch {
            return AdminAnswer(status: error.status, text: error.sentence)
        }
    }
}

/// The file of a unix socket as this process has made it.
private struct SocketFile: Sendable {
    private let path: String
    private let device: dev_t
    private let inode: ino_t

    init?(_ path: String) {
        guard !path.hasPrefix("@") else { return nil }
        var status = stat()
        guard lstat(path, &status) == 0 else { return nil }
        self.path = path
        device = status.st_dev
        inode = status.st_ino
    }

    /// Removes it, unless another process has put its own there.
    func remove() {
        var status = stat()
        guard lstat(path, &status) == 0, status.st_dev == device, status.st_ino == inode else {
            return
        }
        unlink(path)
    }

    static func isServed(_ address: Address) -> Bool {
        guard let socket = try? Socket.stream(for: address) else { return false }
        switch socket.connect(to: address) {
        case .connected, .inProgress: return true
        case .failed(let code): return code == EAGAIN
        }
    }
}

/// A connected stream that is waited for.
struct AdminStream: ~Copyable {
    private let descriptor: Int32

    init(adopting descriptor: Int32) {
        self.descriptor = descriptor
        let flags = fcntl(descriptor, F_GETFL)
        _ = fcntl(descriptor, F_SETFL, flags & ~O_NONBLOCK)
    }

    deinit { close(descriptor) }

    func setPatience(seconds: Int) {
        var time = timeval(tv_sec: seconds, tv_usec: 0)
        for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
            setsockopt(
                descriptor, SOL_SOCKET, option, &time, socklen_t(MemoryLayout<timeval>.size))
        }
    }

    /// What comes next; nil at the end, or when it does not come in time.
    func receive() -> [UInt8]? {
        var buffer = [UInt8](repeating: 0, count: 16_384)
        while true {
            let count = recv(descriptor, &buffer, buffer.count, 0)
            if count < 0 && errno == EINTR { continue }
            return count > 0 ? Array(buffer.prefix(count)) : nil
        }
    }

    /// Sends all; false when the peer does not take it.
    @discardableResult
    func send(_ bytes: [UInt8]) -> Bool {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { return false }
            rest = rest.dropFirst(count)
        }
        return true
    }
}
