// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc

/// The real program, started with a configuration of the test's and stopped when the fixture goes.
///
/// Every listener has port 0; the ports are read from the program's start lines, each of which
/// begins with `listening ` and contains the listener's URL.
public final class ProxyFixture: Sendable {
    /// The program.
    public let process: ChildProcess
    /// The configuration file; empty in quick mode.
    public let configurationPath: String
    /// The listeners' URLs in the order of their lines.
    public let urls: [String]
    /// A folder of the fixture's own, home of the program in quick mode.
    public let folder: String

    /// Starts `sluice run` with this configuration, which has `listenerCount` listeners; `wrapper`
    /// is put before the program on the command line.
    public init(
        configuration: String, listenerCount: Int = 1, arguments: [String] = [],
        wrapper: [String] = []
    ) throws {
        folder = try Scratch.makeFolder()
        configurationPath = "\(folder)/sluice.yaml"
        try Scratch.write(configuration, to: configurationPath)
        let command = [try ProxyFixture.program(), "run", "-c", configurationPath] + arguments
        // What it puts into the folder for passing files, its admin socket for one, is the fixture's.
        process = try ChildProcess(wrapper + command, environment: ["TMPDIR": folder])
        urls = try ProxyFixture.readURLs(of: process, count: listenerCount)
    }

    /// Starts the program in quick mode or with another command; its data goes to the folder `home`,
    /// or to the fixture's own if that is nil.
    public init(arguments: [String], listenerCount: Int = 1, home: String? = nil) throws {
        folder = try Scratch.makeFolder()
        configurationPath = ""
        let home = home ?? folder
        process = try ChildProcess(
            [try ProxyFixture.program()] + arguments,
            environment: ["HOME": home, "XDG_DATA_HOME": "\(home)/data", "TMPDIR": folder])
        urls = try ProxyFixture.readURLs(of: process, count: listenerCount)
    }

    /// Times for clients, where the test gives none: on a busy machine they may rest for long between two
    /// steps.
    private static let longTimeouts =
        "timeouts: { clientHello: 5m, handshake: 5m, head: 10m, keepAlive: 10m }"

    /// Starts the program with one TLS listener, these routes, and further top-level `settings`.
    public convenience init(
        routes: [String], listeners: [ProxyListener] = [.tls()], settings: [String] = [],
        workers: Int? = nil, wrapper: [String] = []
    ) throws {
        var lines = ["listen:"]
        for listener in listeners { lines.append("  - \(try listener.setting())") }
        lines.append("routes:")
        lines += routes.map { "  - \($0)" }
        lines += settings
        if !settings.contains(where: { $0.contains("timeouts:") }) {
            lines.append(Self.longTimeouts)
        }
        try self.init(
            configuration: lines.joined(separator: "\n") + "\n", listenerCount: listeners.count,
            arguments: workers.map { ["--workers", "\($0)"] } ?? [], wrapper: wrapper)
    }

    /// Starts the program with one TLS listener and one route, `/Esv/ocp`, to `upstream`.
    public convenience init(
        to upstream: PeerAddress, options: String = "", listeners: [ProxyListener] = [.tls()],
        settings: [String] = [], workers: Int? = nil, wrapper: [String] = []
    ) throws {
        let more = options.isEmpty ? "" : ", \(options)"
        try self.init(
            routes: ["{ path: /Esv/ocp, to: \"\(upstream)\"\(more) }"], listeners: listeners,
            settings: settings, workers: workers, wrapper: wrapper)
    }

    deinit {
        process.signal(SIGKILL)
        Scratch.remove(folder)
    }

    /// The port of a listener.
    public func port(_ listener: Int = 0) -> UInt16 {
        UInt16(URL(string: urls[listener])?.port ?? 0)
    }

    /// `wss://localhost:port` or `ws://localhost:port` with this path.
    public func url(_ path: String = "/Esv/ocp", listener: Int = 0) -> String {
        let scheme = urls[listener].hasPrefix("wss") ? "wss" : "ws"
        return "\(scheme)://localhost:\(port(listener))\(path)"
    }

    /// A client connected to a listener, by TLS where the listener speaks TLS.
    public func connect(
        listener: Int = 0, security: ClientSecurity? = nil, receiveBufferBytes: Int32? = nil
    ) throws -> WebSocketPeer {
        guard urls.indices.contains(listener) else {
            throw PeerError("listener \(listener) was not waited for: give listenerCount")
        }
        let own: ClientSecurity = urls[listener].hasPrefix("wss") ? .tls() : .plain
        let peer = try WebSocketPeer.connect(
            to: .tcp(port(listener)), security: security ?? own,
            receiveBufferBytes: receiveBufferBytes)
        peer.program = self
        return peer
    }

    /// A client whose opening handshake is done.
    public func open(_ opening: Opening = Opening(), receiveBufferBytes: Int32? = nil) throws
        -> WebSocketPeer
    {
        let peer = try connect(receiveBufferBytes: receiveBufferBytes)
        try peer.open(opening)
        return peer
    }

    /// Asks the program to end and returns its exit status.
    public func terminate(by deadline: Deadline = .after()) throws -> Int32 {
        process.signal(SIGTERM)
        return try process.waitForExit(by: deadline)
    }

    /// The program beside the test bundle.
    public static func program() throws -> String {
        let runner = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        let candidates = [
            runner.deletingLastPathComponent().appendingPathComponent("sluice").path,
            "\(Scratch.packageFolder)/.build/debug/sluice",
        ]
        for path in candidates where FileManager.default.isExecutableFile(atPath: path) {
            return path
        }
        throw PeerError("the program is not built: looked for \(candidates)")
    }

    private static func readURLs(of process: ChildProcess, count: Int) throws -> [String] {
        let lines = try process.waitForLines(
            "\(count) lines that begin with 'listening '",
            count: count
        ) { $0.hasPrefix("listening ") }
        return try lines.map { line in
            let words = line.split(separator: " ")
            guard let url = words.first(where: { $0.contains("://") }) else {
                throw PeerError("no URL in the line \"\(line)\"")
            }
            return String(url)
        }
    }
}

/// A listener of a test's configuration.
public enum ProxyListener: Sendable {
    /// TLS with these certificates; the local one if none is given.
    case tls([TestIdentity] = [], minimumVersion: String? = nil)
    /// The same, with HTTP/1.1 alone.
    case http1([TestIdentity] = [])
    /// The same, with HTTP/2 for those who offer it, as it is by default.
    case http2([TestIdentity] = [])
    /// The same, with these keys of `http2`.
    case multiplexed(String, [TestIdentity] = [])
    /// The same, with these keys of `tls`.
    case extended(String, [TestIdentity] = [])
    /// No TLS.
    case plain

    /// The entry of `listen` that makes it.
    public func settingText() throws -> String { try setting() }

    func setting() throws -> String {
        switch self {
        case .plain: return "{ address: \"127.0.0.1:0\" }"
        case .tls(let given, let minimumVersion):
            return try Self.setting(
                given, minimumVersion.map { ", minimumVersion: \"\($0)\"" } ?? "")
        case .http1(let given): return try Self.setting(given, ", protocols: [http/1.1]")
        case .multiplexed(let keys, let given):
            return try Self.setting(given, "", ", http2: { \(keys) }")
        case .extended(let keys, let given): return try Self.setting(given, ", \(keys)")
        case .http2(let given):
            return try Self.setting(given, ", protocols: [h2, http/1.1]")
        }
    }

    private static func setting(
        _ given: [TestIdentity], _ more: String, _ beside: String = ""
    ) throws -> String {
        let files = try given.isEmpty ? [TestCertificates.shared().local] : given
        let list = files.map(\.setting).joined(separator: ", ")
        return "{ address: \"127.0.0.1:0\", tls: { certificates: [\(list)]\(more) }\(beside) }"
    }
}
