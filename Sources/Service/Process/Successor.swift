// SPDX-License-Identifier: Apache-2.0
import Foundation
public import Frontend
import Glibc
public import Reactor
import Synchronization

/// Another process of the same program, started to take over the listening sockets.
///
/// It gets them as descriptors, which its environment names, and says through a pipe that it serves.
/// Until then nothing has changed: a program or configuration that does not start leaves the old
/// process as it is.
public enum Successor {
    /// What a listening socket is for.
    public enum Purpose: String, Sendable {
        /// Clients connect to it.
        case listen
        /// The admin interface is asked through it.
        case admin
    }

    /// A listening socket that is handed on.
    public struct Handed: Sendable {
        /// What it is for.
        public let purpose: Purpose
        /// The address that was asked for.
        public let address: Address
        /// The descriptor of the socket, which is inherited by the new process.
        public let descriptor: Int32

        /// A listening socket to hand over: what for, its address and its descriptor.
        public init(_ purpose: Purpose, _ address: Address, _ descriptor: Int32) {
            self.purpose = purpose
            self.address = address
            self.descriptor = descriptor
        }
    }

    /// A process that serves now.
    struct Started {
        /// Its process id.
        let process: Int32
        /// Descriptors of sockets that it was handed and does not listen at, as the caller knows them.
        let untaken: Set<Int32>
        /// Where live sockets are handed on, and those that stay are told to go.
        let channel: MessageSocket?
    }

    static let socketsVariable = "SLUICE_SOCKETS"
    static let readyVariable = "SLUICE_READY"
    static let drainedVariable = "SLUICE_DRAINED"
    static let activatedVariable = "SLUICE_ACTIVATED"
    /// How often is asked whether a new process is still wanted.
    private static let lookMilliseconds: Int32 = 50

    /// The program as it was started, as an absolute path: what stands there now is what is started.
    ///
    /// - Returns: nil when it is found nowhere.
    public static func programPath(_ name: String = CommandLine.arguments[0]) -> String? {
        let manager = FileManager.default
        if name.contains("/") {
            return name.hasPrefix("/") ? name : manager.currentDirectoryPath + "/" + name
        }
        let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/local/bin:/usr/bin:/bin"
        return path.split(separator: ":").map { "\($0)/\(name)" }
            .first { manager.isExecutableFile(atPath: $0) }
    }

    /// Held while descriptors are made ready to be inherited, which another start would take back.
    private static let starting = Mutex<Void>(())

    /// Starts the program and waits until it serves.
    ///
    /// It inherits what is named here and the standard descriptors, and nothing else.
    ///
    /// - Parameters:
    ///   - path: the program.
    ///   - arguments: its arguments, without its name.
    ///   - sockets: what it takes over.
    ///   - drained: what it takes no new relays at.
    ///   - state: memory with a `HandedState`, which stays the caller's.
    ///   - before: the processes that drain sockets since earlier upgrades, with the channels to them; nil where one can't be
    ///     asked.
    ///   - milliseconds: how long it may take.
    ///   - isGivenUp: whether nobody wants it any more, which is asked a few times a second.
    /// - Returns: the new process.
    /// - Throws: `SuccessorFault` when it does not serve in time, or is given up; then it is gone.
    static func start(
        _ path: String, _ arguments: [String], sockets: [Handed], drained: DrainedNames,
        state: Int32? = nil, before: [(mark: ProcessMark, channel: MessageSocket?)] = [],
        within milliseconds: Int32,
        unless isGivenUp: () -> Bool = { false }
    ) throws(SuccessorFault) -> Started {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw .system("pipe") }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        defer { close(ends[0]) }
        let launched = starting.withLock { _ -> Launch in
            launch(
                path, arguments, sockets: sockets, drained: drained, state: state,
                before: before, door: ends[1])
        }
        let child = try launched.outcome.get()
        let untaken = try watch(child, ends[0], milliseconds, isGivenUp)
        return Started(
            process: child,
            untaken: Set(
                zip(sockets, launched.copies).filter { untaken.contains($1) }
                    .map { $0.0.descriptor }),
            channel: launched.channel)
    }

    /// A process that was started, or was not.
    private struct Launch: Sendable {
        /// Its number.
        var outcome = Result<Int32, SuccessorFault>.failure(SuccessorFault(""))
        /// The numbers that it has the sockets by.
        var copies: [Int32] = []
        /// Where live sockets are handed on; nil where it was not started.
        var channel: MessageSocket?
    }

    /// Starts the program with copies of what it inherits; takes the pipe's end through which it says that it serves.
    private static func launch(
        _ path: String, _ arguments: [String], sockets: [Handed], drained: DrainedNames,
        state: Int32?, before: [(mark: ProcessMark, channel: MessageSocket?)], door end: Int32
    ) -> Launch {
        OpenFiles.keepFromPrograms()
        var launch = Launch()
        // Copies survive the start of the other program; they are closed here right behind it.
        launch.copies = sockets.map { dup($0.descriptor) }
        let door = dup(end)
        close(end)
        var names: Int32 = -1
        var channelEnd: Int32 = -1
        var known: Int32 = -1
        var standing: [Int32] = []
        do throws(SystemError) {
            if door < 0 || launch.copies.contains(where: { $0 < 0 }) {
                throw SystemError(code: errno, call: "dup")
            }
            if !drained.isEmpty { names = try HandedDrains.file(of: drained) }
            var environment = environment(zip(sockets, launch.copies).map { $0 }, door)
            if let state {
                known = dup(state)
                if known >= 0 { environment[HandedState.variable] = String(known) }
            }
            let channel = try MessageSocket.pair()
            launch.channel = channel.own
            channelEnd = dup(channel.other.descriptor)
            if channelEnd < 0 { throw SystemError(code: errno, call: "dup") }
            environment[Arrivals.variable] = String(channelEnd)
            standing = before.map { one in one.channel.map { dup($0.descriptor) } ?? -1 }
            // One that no descriptor is left for is not reached any more, and goes on.
            environment[Predecessors.variable] = Predecessors.text(
                zip(before, standing).map { ($0.mark, max(-1, $1)) })
            environment[drainedVariable] = names < 0 ? nil : String(names)
            launch.outcome = spawn(path, arguments, environment)
        } catch {
            launch.outcome = .failure(SuccessorFault(error.description))
        }
        // Only the child holds the writing end from here, so its death is the pipe's end.
        for copy in launch.copies + standing + [door, names, channelEnd, known] where copy >= 0 {
            close(copy)
        }
        return launch
    }

    /// How a process has ended that was started here; nil where it has not.
    static func ending(of process: Int32, withinMilliseconds milliseconds: UInt64) -> String? {
        var status: Int32 = 0
        let end = Clock.nowMilliseconds() + milliseconds
        while true {
            let found = waitpid(process, &status, WNOHANG)
            if found == process { return "ended \(words(on: status))" }
            if found < 0 && errno != EINTR { return "ended" }
            if Clock.nowMilliseconds() >= end { return nil }
            usleep(10_000)
        }
    }

    private static func words(on status: Int32) -> String {
        status & 0x7F == 0
            ? "with status \((status >> 8) & 0xFF)" : "by signal \(status & 0x7F)"
    }

    private static func environment(
        _ sockets: [(Handed, Int32)], _ door: Int32
    ) -> [String: String] {
        var environment = ProcessInfo.processInfo.environment
        for name in [
            "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_PID", Arrivals.variable,
            HandedState.variable, Predecessors.variable,
        ] {
            environment[name] = nil
        }
        environment[socketsVariable] =
            sockets.map { "\($1) \($0.purpose.rawValue) \($0.address)" }
            .joined(separator: "\n")
        environment[readyVariable] = String(door)
        return environment
    }

    private static func spawn(
        _ path: String, _ arguments: [String], _ environment: [String: String]
    ) -> Result<Int32, SuccessorFault> {
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // Threads of ours block signals and ignore SIGPIPE; the other begins as anybody does.
        var none = sigset_t()
        var all = sigset_t()
        sigemptyset(&none)
        sigfillset(&all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setflags(
            &attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
        var words: [UnsafeMutablePointer<CChar>?] = ([path] + arguments).map { strdup($0) }
        var settings: [UnsafeMutablePointer<CChar>?] = environment.map { strdup("\($0)=\($1)") }
        words.append(nil)
        settings.append(nil)
        defer { for word in words + settings { free(word) } }
        var child: pid_t = 0
        let code = posix_spawn(&child, path, nil, &attributes, words, settings)
        guard code == 0 else {
            return .failure(
                SuccessorFault("\(path) can't be started: \(SystemError.text(of: code))"))
        }
        return .success(child)
    }

    /// Waits until a new process serves.
    ///
    /// - Returns: what it says of the descriptors that it was handed and does not listen at.
    private static func watch(
        _ child: Int32, _ end: Int32, _ milliseconds: Int32, _ isGivenUp: () -> Bool
    ) throws(SuccessorFault) -> Set<Int32> {
        var waitFor = pollfd(fd: end, events: Int16(POLLIN), revents: 0)
        let deadline = Clock.nowMilliseconds() + UInt64(max(0, milliseconds))
        var count: Int32 = 0
        var wasGivenUp = false
        repeat {
            let left = Int32(clamping: deadline - min(deadline, Clock.nowMilliseconds()))
            count = poll(&waitFor, 1, min(left, lookMilliseconds))
            wasGivenUp = count <= 0 && isGivenUp()
        } while count <= 0 && !wasGivenUp && Clock.nowMilliseconds() < deadline
        if count > 0, let untaken = ReadyWord.read(from: end) { return untaken }
        if count <= 0 { kill(child, SIGKILL) }
        var status: Int32 = 0
        while waitpid(child, &status, 0) < 0 && errno == EINTR {}
        if wasGivenUp {
            throw SuccessorFault(
                "it was told to stop before the new process served, which was ended")
        }
        if count <= 0 {
            throw SuccessorFault(
                "the new process did not serve within \(milliseconds) ms and was ended")
        }
        throw SuccessorFault(
            "the new process ended \(words(on: status)) before it served; what it said stands where this process has its"
                + " standard error (under systemd in the journal), and `sluice check` says what is wrong with a"
                + " configuration")
    }

    // MARK: The other side

    /// The sockets that this process was handed: by the one before it, or by the service manager
    /// (sd_listen_fds(3)).
    ///
    /// To be asked once: the variables are taken away, for they are for no other process.
    public static func inherited() -> [Handed] {
        defer {
            for name in [socketsVariable, "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"] {
                unsetenv(name)
            }
        }
        let handed = handedOn
        // It keeps its sockets open, and those of the processes that follow this one as well.
        if !standing(ProcessInfo.processInfo.environment).isEmpty {
            setenv(activatedVariable, "1", 1)
        }
        return handed
    }

    /// Whether a service manager may have opened sockets that this process was handed.
    static var isActivated: Bool {
        ProcessInfo.processInfo.environment[activatedVariable] != nil
    }

    /// What the process before this one takes no new relays at; nothing where there was none.
    ///
    /// To be asked once, as `inherited`.
    public static func inheritedDrains() -> DrainedNames {
        defer { unsetenv(drainedVariable) }
        guard let text = ProcessInfo.processInfo.environment[drainedVariable],
            let descriptor = Int32(text), descriptor > 2
        else { return DrainedNames() }
        return HandedDrains.read(from: descriptor)
    }

    /// What the service manager has handed on.
    private static func standing(_ environment: [String: String]) -> [Handed] {
        guard environment["LISTEN_PID"] == String(getpid()),
            let count = environment["LISTEN_FDS"].flatMap({ Int32($0) }),
            (1...1_024).contains(count)
        else { return [] }
        return (3..<3 + count).compactMap { descriptor in
            Listener.address(of: descriptor).map { Handed(.listen, $0, descriptor) }
        }
    }

    private static func handed(_ text: String) -> [Handed] {
        text.split(separator: "\n").compactMap { line in
            let words = line.split(separator: " ", maxSplits: 2)
            guard words.count == 3, let descriptor = Int32(words[0]), descriptor > 2,
                let purpose = Purpose(rawValue: String(words[1])),
                let address = try? Address(parsing: String(words[2]))
            else { return nil }
            return Handed(purpose, address, descriptor)
        }
    }

    /// The same without taking the variables away: for those who only have to know.
    public static var handedOn: [Handed] {
        let environment = ProcessInfo.processInfo.environment
        if let text = environment[socketsVariable] { return handed(text) }
        return standing(environment)
    }

    /// Whether this process was started to take over from another.
    public static var isTakingOver: Bool {
        ProcessInfo.processInfo.environment[readyVariable] != nil
    }

    /// Tells the process before this one that this one serves, and at which of the sockets that it was
    /// handed it does not listen.
    static func sayReady(untaken: [Int32]) {
        guard let text = ProcessInfo.processInfo.environment[readyVariable],
            let descriptor = Int32(text), descriptor > 2
        else { return }
        unsetenv(readyVariable)
        ReadyWord.write(untaken, to: descriptor)
        close(descriptor)
    }
}

/// Why another process did not take over.
public struct SuccessorFault: Error, Sendable, CustomStringConvertible {
    /// The reason, in a sentence.
    public let description: String

    /// A reason in words.
    public init(_ description: String) { self.description = description }

    static func system(_ call: String) -> SuccessorFault {
        SuccessorFault(SystemError(code: errno, call: call).description)
    }
}
