// SPDX-License-Identifier: Apache-2.0
import Foundation
import TestKit

/// nginx with a configuration of the test's, one server on a port of its own.
final class Nginx {
    private let process: ChildProcess
    private let folder: String
    let port: UInt16

    /// Starts it; `server` is what stands in the server's block, `listen` what stands behind the address.
    init(listen: String = "", _ server: String) throws {
        let folder = try Scratch.makeFolder()
        self.folder = folder
        // Held by this process without listening, so that the kernel gives it to nobody else.
        port = try PeerAddress.refusing().port
        let paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map { "\($0)_temp_path \(folder)/\($0);" }.joined(separator: " ")
        let configuration = """
            daemon off;
            master_process off;
            pid \(folder)/pid;
            error_log stderr notice;
            events {}
            http {
                access_log off;
                \(paths)
                server {
                    listen 127.0.0.1:\(port) \(listen);
                    \(server)
                }
            }
            """
        try Scratch.write(configuration, to: "\(folder)/nginx.conf")
        process = try ChildProcess([
            "nginx", "-e", "stderr", "-p", folder, "-c", "\(folder)/nginx.conf",
        ])
        try Self.waitFor(port, process)
    }

    deinit {
        process.signal(SIGKILL)
        Scratch.remove(folder)
    }

    func url(_ path: String = "/", scheme: String = "ws") -> String {
        "\(scheme)://localhost:\(port)\(path)"
    }

    /// Waits until somebody takes connections there.
    static func waitFor(_ port: UInt16, _ process: ChildProcess) throws {
        let deadline = Deadline.after()
        while true {
            if (try? WebSocketPeer.connect(to: .tcp(port), security: .plain)) != nil { return }
            if process.hasEnded || deadline.hasPassed {
                throw PeerError("it does not listen; it said: \(process.errors)")
            }
            usleep(10_000)
        }
    }
}

/// `gnutls-serv` on a port of its own.
final class GnuTLSServer {
    private let process: ChildProcess
    let port: UInt16

    init(certificate: String, key: String, _ arguments: [String]) throws {
        port = try PeerAddress.refusing().port
        process = try ChildProcess(
            [
                "gnutls-serv", "--port", "\(port)", "--x509certfile", certificate, "--x509keyfile",
                key,
            ] + arguments)
        try Nginx.waitFor(port, process)
    }

    deinit { process.signal(SIGKILL) }
}

/// A server in Python, in a state of its own: `patient.py`.
final class PythonServer {
    let process: ChildProcess
    let port: UInt16

    /// Starts it with the packages of the tests' environment.
    init(_ state: String, _ arguments: [String] = []) throws {
        process = try PythonPeer.start("patient.py", [state] + arguments)
        port = try Self.port(process)
    }

    /// Starts it with another clock, with the standard library alone.
    init(_ state: String, _ arguments: [String], clock: String) throws {
        let script = "\(Scratch.packageFolder)/Tests/IntegrationTests/Foreign/patient.py"
        process = try ChildProcess(
            ["faketime", clock, "python3", "-u", script, state] + arguments,
            environment: ["PYTHONDONTWRITEBYTECODE": "1"])
        port = try Self.port(process)
    }

    private static func port(_ process: ChildProcess) throws -> UInt16 {
        let line = try process.waitForLine(containing: "listening ").first
        guard let port = line?.split(separator: " ").last.flatMap({ UInt16($0) }) else {
            throw PeerError("no port in \(line ?? "nothing")")
        }
        return port
    }

    deinit { process.signal(SIGKILL) }

    func url(_ scheme: String = "ws") -> String { "\(scheme)://localhost:\(port)/chat" }
}
