// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc

/// Foreign peers in Python: a virtual environment with the packages that they need, made once, and
/// the scripts that lie in `Tests/IntegrationTests/Foreign`.
public enum PythonPeer {
    private static let environment = Result { try makeEnvironment() }

    /// The interpreter that has the packages.
    public static func interpreter() throws -> String { try environment.get() }

    /// The script of axe-core, which looks for what keeps people out of a page.
    public static func axeScript() throws -> String {
        let packages = try run(["-c", "import sysconfig; print(sysconfig.get_path('purelib'))"])
        return "\(packages)/axe_playwright_python/axe.min.js"
    }

    /// What the interpreter prints to these arguments.
    private static func run(_ arguments: [String]) throws -> String {
        let child = try ChildProcess([try environment.get()] + arguments)
        guard try child.waitForExit() == 0, let line = child.output.last else {
            throw PeerError("python \(arguments) has failed: \(child.errors)")
        }
        return line
    }

    /// Starts a script with arguments.
    public static func start(_ script: String, _ arguments: [String] = []) throws -> ChildProcess {
        try ChildProcess(
            try command(script) + arguments, environment: ["PYTHONDONTWRITEBYTECODE": "1"])
    }

    /// The words that start a script, for those who put others before them.
    public static func command(_ script: String) throws -> [String] {
        let folder = "\(Scratch.packageFolder)/Tests/IntegrationTests/Foreign"
        return [try environment.get(), "-u", "\(folder)/\(script)"]
    }

    /// Runs a script to its end and returns what it printed; throws with its words if it failed.
    @discardableResult
    public static func run(
        _ script: String, _ arguments: [String] = [],
        by deadline: @autoclosure () -> Deadline = .after(.seconds(120))
    ) throws -> [String] {
        let child = try start(script, arguments)
        // From here on: the first script may have waited for the environment.
        let status = try child.waitForExit(by: deadline())
        guard status == 0 else {
            let words = (child.output + child.errors).joined(separator: "\n")
            throw PeerError("\(script) exited with \(status): \(words)")
        }
        return child.output
    }

    /// Makes the environment in the build folder unless it is there; other processes wait.
    private static func makeEnvironment() throws -> String {
        let builds = "\(Scratch.packageFolder)/.build"
        // A build may have another folder.
        try FileManager.default.createDirectory(
            atPath: builds, withIntermediateDirectories: true)
        let folder = "\(builds)/test-venv-15"
        let python = "\(folder)/bin/python"
        let lock = Descriptor(open("\(folder).lock", O_CREAT | O_RDWR | O_CLOEXEC, 0o644))
        guard lock.number >= 0, flock(lock.number, LOCK_EX) == 0 else {
            throw PeerError.system("locking \(folder).lock")
        }
        let mark = "\(folder)/complete"
        if FileManager.default.fileExists(atPath: mark) { return python }
        let deadline = Deadline.after(.seconds(900))
        try TestKit.run(["python3", "-m", "venv", "--clear", folder], by: deadline)
        try TestKit.run(
            [
                python, "-m", "pip", "install", "--quiet", "--no-compile", "websockets>=15",
                "requests", "aiohttp", "h2", "wsproto",
                "flask", "flask-sock", "jsonschema", "pyyaml", "channels", "daphne", "pyte",
                "trustme", "zxing-cpp", "python-socketio", "opentelemetry-proto", "tlslite-ng",
                "prometheus-client", "hdrhistogram", "ocpp", "strawberry-graphql",
                "dacite", "psutil", "pwdlib[argon2]", "transitions", "typer", "joserfc", "coilmq",
            ], by: deadline)
        // Of the first two only their copies of JavaScript are used: socket.io's client, and axe-core. The third asks
        // for an older websockets than there is, and goes with a newer one too.
        try TestKit.run(
            [
                python, "-m", "pip", "install", "--quiet", "--no-compile", "--no-deps", "nicegui",
                "axe-playwright-python", "amqtt",
            ], by: deadline)
        try Scratch.write("", to: mark)
        return python
    }
}
