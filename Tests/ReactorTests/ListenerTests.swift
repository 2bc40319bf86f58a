// SPDX-License-Identifier: Apache-2.0
import Glibc
import Reactor
import Synchronization
import Testing

@Suite struct ListenerTests {
    @Test(arguments: ["127.0.0.1:0", "[::1]:0", "[::]:0", ":0", "unix:@", "unix:/"])
    func `a connection is accepted and carries bytes both ways`(text: String) throws {
        var text = text
        if text == "unix:@" { text = "unix:@sluice-\(getpid())-\(Clock.nowNanoseconds())" }
        if text == "unix:/" { text = "unix:" + temporaryPath() }
        let listener = try Listener(address: Address(parsing: text))
        defer { listener.removeFile() }
        var poller = try Poller()
        let isWatched = poller.add(listener.descriptor, Token.fixed(1), .levelReadExclusive)
        #expect(isWatched)
        var target = listener.address
        if target.isWildcard { target = .loopback(port: target.port) }

        let client = try Socket.stream(for: target)
        let started = client.connect(to: target)
        #expect(started == .connected || started == .inProgress)
        _ = poller.add(client.descriptor, Token.fixed(2), .edgeBoth)
        let (descriptor, peer) = try accept(from: listener, &poller)
        let server = Socket(adopting: descriptor)
        if !target.isUnix {
            expect(peer == client.localAddress)
            expect(client.peerAddress == target)
            expect(server.localAddress == target)
            let isSet = server.setNoDelay() && server.setKeepAlive(idleSeconds: 60)
            #expect(isSet)
        }
        expect(client.pendingError() == 0)

        try check(client, server, &poller, "from the client")
        try check(server, client, &poller, "from the server")
        client.shutdownWrite()
        var byte: UInt8 = 0
        let ended = server.receive(into: &byte, count: 1)
        #expect(ended == .ended)
    }

    @Test func `nothing waits, nothing is accepted; a second handle accepts as well`() throws {
        let listener = try Listener(address: .loopback(port: 0))
        let second = Listener(adopting: dup(listener.descriptor), as: listener.address)
        expect(second.address == listener.address)
        let nothing = listener.accept()
        #expect(nothing == .blocked)
        let client = try Socket.stream(for: listener.address)
        _ = client.connect(to: listener.address)
        var poller = try Poller()
        _ = poller.add(second.descriptor, Token.fixed(0), .levelReadExclusive)
        let (descriptor, _) = try accept(from: second, &poller)
        close(descriptor)
        let rest = listener.accept()
        #expect(rest == .blocked)
    }

    @Test func `a port in use is refused with the address in the sentence`() throws {
        let listener = try Listener(address: .loopback(port: 0))
        let address = listener.address
        let error = #expect(throws: SystemError.self) { _ = try Listener(address: address) }
        #expect(error?.cause == "bind \(address): Address already in use")
        let cure = "; stop the program that listens there, or choose another port"
        #expect(error?.description.hasSuffix(cure) == true)
    }

    @Test func `nobody listens: the dial fails with the reason`() throws {
        let address: Address
        do { address = try Listener(address: .loopback(port: 0)).address }
        let client = try Socket.stream(for: address)
        switch client.connect(to: address) {
        case .connected: Issue.record("connected to nobody")
        case .failed(let code): #expect(code == ECONNREFUSED)
        case .inProgress:
            var poller = try Poller()
            _ = poller.add(client.descriptor, Token.fixed(0), .edgeBoth)
            let count = poller.wait(timeoutMilliseconds: 10_000)
            try #require(count == 1)
            expect(poller.event(0).flags.contains(.hangup))
            expect(client.pendingError() == ECONNREFUSED)
        }
    }

    /// A listener in the place of one that is gone.
    ///
    /// Another test may just be starting a program, which has a copy of all descriptors for a moment.
    private static func listener(at address: Address) throws -> Listener {
        let deadline = ContinuousClock.now + .seconds(20)
        while true {
            do throws(SystemError) {
                return try Listener(address: address)
            } catch {
                guard error.code == EADDRINUSE, ContinuousClock.now < deadline else { throw error }
                usleep(10_000)
            }
        }
    }

    @Test func `a stale socket file is replaced, a live one and a plain file are not`() throws {
        let path = temporaryPath()
        let address = try Address(parsing: "unix:\(path)")
        do { _ = try Listener(address: address) }
        #expect(access(path, F_OK) == 0)
        let listener = try Self.listener(at: address)
        var status = stat()
        #expect(stat(path, &status) == 0)
        #expect(status.st_mode & 0o777 == 0o660)
        #expect(throws: SystemError.self) { _ = try Listener(address: address) }
        listener.removeFile()
        #expect(access(path, F_OK) != 0)

        let file = open(path, O_CREAT | O_WRONLY, 0o600)
        close(file)
        let error = #expect(throws: SystemError.self) { _ = try Listener(address: address) }
        #expect(error?.listeningAddress == address)
        #expect(
            error?.description
                == "bind unix:\(path): File exists; a regular file stands there and no socket: move it away,"
                + " or choose another path")
        #expect(access(path, F_OK) == 0)
        unlink(path)
    }

    @Test func `what stands at a path is told from a socket, and stays`() throws {
        let path = temporaryPath()
        defer { unlink(path) }
        let address = try Address(parsing: "unix:\(path)")
        #expect(try SocketPlace(address) == .free)
        #expect(try SocketPlace(Address(parsing: "unix:@\(path)")) == .free)
        #expect(mkfifo(path, 0o600) == 0)
        #expect(try SocketPlace(address) == .other("a pipe"))
        unlink(path)
        #expect(symlink("/nowhere", path) == 0)
        #expect(try SocketPlace(address) == .other("a symbolic link"))
        unlink(path)
        #expect(mkdir(path, 0o700) == 0)
        #expect(try SocketPlace(address) == .other("a folder"))
        rmdir(path)
        // A socket that takes no connections is somebody's too.
        let datagrams = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
        var name = sockaddr_un()
        name.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &name.sun_path) { $0.copyBytes(from: path.utf8) }
        let bound = withUnsafePointer(to: &name) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(datagrams, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        #expect(bound == 0)
        #expect(try SocketPlace(address) == .taken)
        close(datagrams)
        #expect(try SocketPlace(address) == .abandoned)
        let listener = try Self.listener(at: address)
        #expect(try SocketPlace(address) == .taken)
        // What another process has put there since is not this one's to remove.
        unlink(path)
        let next = try Self.listener(at: address)
        listener.removeFile()
        #expect(access(path, F_OK) == 0)
        next.removeFile()
        #expect(access(path, F_OK) != 0)
    }

    @Test func `the pause after exhaustion doubles from 5 ms to a second and starts over`() {
        var backoff = AcceptBackoff()
        let pauses = (0..<10).map { _ in backoff.pauseMilliseconds() }
        #expect(pauses == [5, 10, 20, 40, 80, 160, 320, 640, 1000, 1000])
        backoff.reset()
        #expect(backoff.pauseMilliseconds() == 5)
    }

    /// The thread gets a descriptor table of its own and fills it, so that no other test notices.
    @Test func `without descriptors the listener says so, and accepts when there are some again`()
        throws
    {
        let listener = try Listener(address: .loopback(port: 0))
        let client = try Socket.stream(for: listener.address)
        _ = client.connect(to: listener.address)
        let listening = listener.descriptor
        var poller = try Poller()
        _ = poller.add(listening, Token.fixed(0), .levelRead)
        let ready = poller.wait(timeoutMilliseconds: 10_000)
        try #require(ready == 1)

        let outcomes = Mutex<[AcceptResult]>([])
        let address = listener.address
        let thread = try ReactorThread.start(name: "starved") {
            guard unshareDescriptors() else { return }
            let copy = Listener(adopting: listening, as: address)
            var last: Int32 = 0
            while true {
                let filler = dup(listening)
                if filler < 0 { break }
                last = filler
            }
            let starved = copy.accept()
            close(last)
            let fed = copy.accept()
            outcomes.withLock { $0 = [starved, fed] }
            // The table goes with the thread; no descriptor of the others is closed.
        }
        thread.join()
        let results = outcomes.withLock { $0 }
        try #require(results.count == 2, "unshare(CLONE_FILES) is not allowed here")
        #expect(results[0] == .exhausted(EMFILE))
        guard case .accepted = results[1] else {
            Issue.record("not accepted: \(results[1])")
            return
        }
    }

    private func check(
        _ sender: borrowing Socket, _ receiver: borrowing Socket, _ poller: inout Poller,
        _ text: String
    ) throws {
        let bytes = Array(text.utf8)
        let sent = sender.send(bytes, count: bytes.count)
        #expect(sent == .moved(bytes.count))
        var received = [UInt8](repeating: 0, count: 64)
        let result = received.withUnsafeMutableBufferPointer { buffer -> IOResult in
            guard let start = buffer.baseAddress else { return .blocked }
            return receiver.receive(into: start, count: 64)
        }
        #expect(result == .moved(bytes.count))
        #expect(Array(received.prefix(bytes.count)) == bytes)
    }

    private func accept(
        from listener: borrowing Listener, _ poller: inout Poller
    ) throws -> (Int32, Address) {
        while true {
            if case .accepted(let descriptor, let peer) = listener.accept() {
                return (descriptor, peer)
            }
            let count = poller.wait(timeoutMilliseconds: 10_000)
            try #require(count > 0, "no connection came")
        }
    }
}

private func temporaryPath() -> String {
    "/tmp/sluice-test-\(getpid())-\(Clock.nowNanoseconds()).sock"
}

/// Gives the calling thread its own copy of the descriptor table.
private func unshareDescriptors() -> Bool {
    guard let symbol = dlsym(nil, "unshare") else { return false }
    let unshare = unsafeBitCast(symbol, to: (@convention(c) (Int32) -> Int32).self)
    return unshare(0x400) == 0
}
