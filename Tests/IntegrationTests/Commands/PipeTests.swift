// SPDX-License-Identifier: Apache-2.0
//
// Goal: a pipe in the place of a file keeps no command and no reload waiting for ever: it has a sentence.
// Method: pipes that nobody writes to or reads from, in the place of every file that a command is given.

import Foundation
import Glibc
import TestKit
import Testing

@Suite struct PipeTests {
    private static let route = "{ path: \"/*\", respond: { status: 200, body: hello } }"

    private func makePipe(_ path: String) throws {
        try? FileManager.default.removeItem(atPath: path)
        try #require(mkfifo(path, 0o600) == 0)
    }

    private func sluice(_ arguments: [String]) throws -> (status: Int32, output: String) {
        try ended([try ProxyFixture.program()] + arguments)
    }

    @Test(arguments: ["check", "run"])
    func `a configuration that nobody writes`(command: String) throws {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        try makePipe("\(folder)/s.yaml")
        let said = try sluice([command, "-c", "\(folder)/s.yaml"])
        #expect(said.status == 1)
        #expect(said.output.contains("s.yaml: it can't be read: it is a pipe"), "\(said.output)")
    }

    @Test func `a configuration that a shell's substitution writes is read`() throws {
        let script = """
            exec "$1" check -c <(printf '%s\\n' 'listen: [{ address: "127.0.0.1:0" }]' \
            'routes: [\(Self.route)]')
            """
        let said = try ended(["bash", "-c", script, "bash", try ProxyFixture.program()])
        #expect(said.status == 0, "\(said.output)")
    }

    @Test func `a log that nobody reads is refused, at the start and at a reload`() throws {
        let operated = try Operated(routes: [Self.route], listeners: [.plain])
        defer { Scratch.remove(operated.folder) }
        let pipe = "\(operated.folder)/access"
        try makePipe(pipe)
        let file = "\(operated.folder)/other.yaml"
        let text = try Scratch.read(operated.proxy.configurationPath)
        let logged = "log: { access: \(pipe) }\nroutes:"
        try Scratch.write(text.replacingOccurrences(of: "routes:", with: logged), to: file)
        let started = try sluice(["run", "-c", file])
        #expect(started.status == 1)
        #expect(started.output.contains("a pipe that nobody reads"), "\(started.output)")

        try operated.rewrite("routes:", logged)
        let refused = try operated.command(["reload"])
        #expect(refused.status != 0)
        #expect(refused.output.contains("a pipe that nobody reads"), "\(refused.output)")
        #expect(try operated.ask("/readyz").output == "ready\n")

        // With a reader it is as good as a file.
        let reader = try ChildProcess(["cat", pipe])
        try eventually("the reader is there") { try operated.command(["reload"]).status == 0 }
        let client = try operated.proxy.connect()
        try client.send("GET /seen HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        #expect(try client.readResponse().text == "hello")
        try reader.waitForLine(containing: "/seen")
        try operated.rewrite(logged, "routes:")
        #expect(try operated.command(["reload"]).status == 0)
    }

    @Test(arguments: [
        "admin: { address: 0.0.0.0:9 }", "admin: { address: localhost:9 }",
        "admin: { socket: /nonexistent/x.sock }", "log: { access: /tmp/ }", "log: { events: /tmp }",
        "listen: [{ address: \"unix:/nonexistent/x.sock\" }]",
    ])
    func `check refuses what run refuses`(line: String) throws {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let listen = line.hasPrefix("listen") ? "" : "listen: [{ address: \"127.0.0.1:0\" }]\n"
        let file = "\(folder)/s.yaml"
        try Scratch.write("\(listen)\(line)\nroutes: [\(Self.route)]\n", to: file)
        let checked = try sluice(["check", file])
        let run = try sluice(["run", file])
        #expect(checked.status == 1 && run.status == 1, "\(checked) \(run)")
        // In the same place; `run` stops at the first.
        #expect(checked.output.hasPrefix("\(file):"), "\(checked.output)")
        #expect(
            run.output.split(separator: " ").first == checked.output.split(separator: " ").first,
            "\(checked) \(run)")
    }

    @Test func `an authority's key and certificate`() throws {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        func make() throws -> (status: Int32, output: String) {
            try sluice(["cert", "--directory", "\(folder)/ca", "localhost"])
        }
        #expect(try make().status == 0)
        for file in ["ca-key.pem", "ca.pem"] {
            let path = "\(folder)/ca/\(file)"
            let before = try Scratch.read(path)
            try makePipe(path)
            let said = try make()
            #expect(said.status != 0)
            #expect(said.output.contains("\(file): it is no file, but a pipe"), "\(said.output)")
            try? FileManager.default.removeItem(atPath: path)
            try Scratch.write(before, to: path)
            chmod(path, 0o600)
        }
    }

    @Test func `files that commands about certificates are given`() throws {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        try makePipe("\(folder)/pipe")
        for arguments in [
            ["cert", "show", "\(folder)/pipe"],
            ["doctor", "wss://127.0.0.1:9/", "--ca", "\(folder)/pipe"],
        ] {
            let said = try sluice(arguments)
            #expect(said.status != 0)
            // The doctor gets as far as a port at which nobody listens.
            let isTold = said.output.contains("it is no file, but a pipe")
            #expect(isTold || arguments[0] == "doctor", "\(arguments): \(said.output)")
        }
        let identity = try TestCertificates.shared().local
        let proxy = try ProxyFixture(
            routes: [Self.route], listeners: [.tls([identity])])
        let said = try sluice(
            ["doctor", "wss://localhost:\(proxy.port())/", "--ca", "\(folder)/pipe"])
        #expect(said.output.contains("it is no file, but a pipe"), "\(said.output)")
    }

    @Test func `files of a trust store`() throws {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        #expect(try sluice(["cert", "--directory", "\(folder)/ca", "localhost"]).status == 0)
        let root = "\(folder)/root"
        for part in [
            "etc/ssl/certs", "usr/share/ca-certificates", "usr/local/share/ca-certificates",
        ] {
            try FileManager.default.createDirectory(
                atPath: "\(root)/\(part)", withIntermediateDirectories: true)
        }
        try Scratch.write("", to: "\(root)/etc/ca-certificates.conf")
        try makePipe("\(root)/usr/local/share/ca-certificates/sluice-ca-0.crt")
        try makePipe("\(root)/etc/ssl/certs/ca-certificates.crt")
        for command in ["status", "untrust"] {
            let said = try sluice(
                [
                    "cert", command, "--directory", "\(folder)/ca", "--root", root, "--only",
                    "system",
                ])
            #expect(said.output.contains("not trusted"), "\(command): \(said.output)")
        }
    }
}
