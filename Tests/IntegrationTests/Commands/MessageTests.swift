// SPDX-License-Identifier: Apache-2.0
//
// Goal: whatever the system, OpenSSL, Foundation or libyaml say, people get words: what was tried, on what,
// and what to do.
// Method: the program itself is driven into each failure; what it prints is searched for raw texts, and every
// text of strerror(3) has to have something behind it.

import Foundation
import Glibc
import TestKit
import Testing

@Suite struct MessageTests {
    /// A way to fail: what is prepared in a folder, what is run there, and the advice that must be given.
    struct Failure: Sendable, CustomStringConvertible {
        let description: String
        /// Shell commands, the last of which fails.
        ///
        /// They run in a folder of the test's, and `$SLUICE` is the program.
        let script: String
        let advice: [String]
        /// Whether it needs root, to be somebody else or to have a network or file system of its own.
        let needsRoot: Bool
    }

    private static func failure(
        _ name: String, _ script: String, _ advice: String..., needsRoot: Bool = false
    ) -> Failure {
        Failure(description: name, script: script, advice: advice, needsRoot: needsRoot)
    }

    /// Writes a configuration with a listener and more lines.
    private static func configured(_ listen: String, _ more: String = "") -> String {
        """
        cat > c.yaml <<'END'
        listen: [{ address: "\(listen)" }]
        routes: [{ path: /, respond: { status: 204 } }]
        admin: { socket: "off" }
        \(more)
        END

        """
    }

    private static let somebody = "setpriv --reuid 65534 --regid 65534 --clear-groups"
    private static let serving = "\"$SLUICE\" run -c c.yaml"
    private static let tls = """
        cat > c.yaml <<END
        listen: [{ address: "127.0.0.1:0", tls: { certificates: [{ chain: "$PWD/x.test.pem", key: "$PWD/x.test-key.pem" }], MORE } }]
        routes: [{ path: /, respond: { status: 204 } }]
        END
        "$SLUICE" cert --directory "$PWD" x.test > /dev/null || exit 99

        """

    private static let failures = [
        // The configuration's file.
        failure("no configuration", serving, "correct the path"),
        failure("a folder for a configuration", "mkdir c.yaml; \(serving)", "give the file in it"),
        failure("not UTF-8", "printf '\\377\\376a' > c.yaml; \(serving)", "save it as UTF-8"),
        failure(
            "a configuration that nobody may read",
            configured("127.0.0.1:0") + "chmod 600 c.yaml; \(somebody) \(serving)", "namei -l",
            needsRoot: true),
        failure(
            "no YAML", "printf 'listen: - a: b: c\\n' > c.yaml; \(serving)", "not valid YAML", "("),
        failure("a tab", "printf 'listen:\\n\\t- a\\n' > c.yaml; \(serving)", "indent with spaces"),
        failure(
            "a brace that does not end", "printf 'listen: [{ address: x\\n' > c.yaml; \(serving)",
            "put a ','"),
        // Addresses.
        failure(
            "a port of root's",
            configured("127.0.0.1:443")
                + "unshare -n sh -c 'ip link set lo up; exec \(somebody) \(serving)'",
            "setcap cap_net_bind_service=+ep", "ip_unprivileged_port_start=443", "8443",
            needsRoot: true),
        failure(
            "a port of root's in quick mode",
            "unshare -n sh -c 'ip link set lo up; HOME=$PWD/h XDG_DATA_HOME=$PWD/h; mkdir -m 700 h; chown 65534 h;"
                + " export HOME XDG_DATA_HOME; exec \(somebody) \"$SLUICE\" 3000 --listen 127.0.0.1:443'",
            "setcap cap_net_bind_service=+ep", needsRoot: true),
        failure(
            "a port of root's for the echo app",
            "unshare -n sh -c 'ip link set lo up; exec \(somebody) \"$SLUICE\" echo --listen 127.0.0.1:80'",
            "setcap cap_net_bind_service=+ep", needsRoot: true),
        failure(
            "an address of another machine", configured("192.0.2.1:0") + serving,
            "`ip address` lists"),
        failure(
            "a socket in a folder that is not there",
            configured("unix:/nowhere/at/all.sock") + serving,
            "mkdir -p /nowhere/at"),
        failure(
            "a socket where a file is",
            "touch taken; "
                + configured("unix:TAKEN") + "sed -i s,TAKEN,$PWD/taken, c.yaml; " + serving,
            "choose another path"),
        failure(
            "a socket with a long path",
            configured("unix:/tmp/\(String(repeating: "x", count: 120))") + serving, "107"),
        failure(
            "an admin socket in a folder that is not there",
            configured("127.0.0.1:0").replacing("\"off\"", with: "/nowhere/at/all.sock") + serving,
            "mkdir -p /nowhere/at"),
        // Files.
        failure(
            "a log in a folder that is not there",
            configured("127.0.0.1:0", "log: { access: /nowhere/at/all.log }") + serving,
            "mkdir -p /nowhere/at"),
        failure(
            "a folder for a log",
            "mkdir d; " + configured("127.0.0.1:0", "log: { access: ./d }") + serving,
            "give the path of a file"),
        failure(
            "a full disk for a certificate",
            "mkdir d; unshare -m sh -c 'mount -t tmpfs -o size=16k none d; head -c 100000 /dev/zero > d/x 2> /dev/null;"
                + " exec \"$SLUICE\" cert --directory d/certs'", "make room", needsRoot: true),
        failure(
            "a folder of certificates below a file",
            "touch f; \"$SLUICE\" cert --directory f/certs", "a directory is needed there"),
        failure(
            "a folder of certificates where the system makes none",
            "\"$SLUICE\" cert --directory /proc/certs", "no directory can be made in /proc"),
        failure(
            "a folder of certificates that nobody may read",
            "\"$SLUICE\" cert --directory d > /dev/null; chmod 711 d; chmod 644 d/ca.pem;"
                + " \(somebody) \"$SLUICE\" cert list --directory d", "namei -l", needsRoot: true),
        failure(
            "an export into a folder that is not there",
            "\"$SLUICE\" cert --directory d > /dev/null; \"$SLUICE\" cert export --directory d --output"
                + " nowhere/ca.pem", "mkdir -p nowhere"),
        failure("no file to show", "\"$SLUICE\" cert show nothing.pem", "correct the path"),
        failure("a folder to show", "mkdir d; \"$SLUICE\" cert show d", "give the file in it"),
        // Certificates and ciphers.
        failure(
            "no chain", "\"$SLUICE\" 3000 --listen 127.0.0.1:0 --cert n.pem --key n.pem",
            "correct the path"),
        failure(
            "ciphers that nobody has", tls.replacing("MORE", with: "ciphers: NONSENSE") + serving,
            "openssl ciphers"),
        failure(
            "cipher suites that nobody has",
            tls.replacing("MORE", with: "cipherSuites: NONSENSE") + serving, "openssl ciphers"),
        failure(
            "authorities that are none",
            "echo nonsense > ca.pem; \"$SLUICE\" cert show wss://$SERVER --ca ca.pem",
            "BEGIN CERTIFICATE"),
        failure(
            "authorities that are not there",
            "\"$SLUICE\" cert show wss://$SERVER --ca nothing.pem",
            "correct the path"),
        // What runs.
        failure(
            "nobody to ask", "\"$SLUICE\" status --admin nothing.sock",
            "If --admin was given, check it"),
        failure(
            "somebody else's socket",
            "mkdir -m 755 run; python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"run/sluice.sock\")';"
                + " chmod 600 run/sluice.sock; XDG_RUNTIME_DIR=\"$PWD/run\" \(somebody) \"$SLUICE\" status",
            "sudo -u root", needsRoot: true),
        failure(
            "a file to ask", "touch f.sock; \"$SLUICE\" status --admin f.sock",
            "Give --admin the socket of a running Sluice"),
        failure(
            "somebody else to ask", "\"$SLUICE\" status --admin $OTHER", "--admin"),
        failure(
            "a server to ask that speaks TLS", "\"$SLUICE\" status --admin $SERVER",
            "This port speaks TLS"),
        // Means.
        failure(
            "no descriptors", configured("127.0.0.1:0") + "prlimit --nofile=12:12 \(serving)",
            "ulimit -n"),
        failure(
            "a name without an address", "\"$SLUICE\" doctor wss://no.such.invalid/ --timeout 5",
            "/etc/"),
    ]

    /// Texts that are meant for programmers.
    private static let raw = [
        "NSCocoaErrorDomain", "NSPOSIXErrorDomain", "The operation could", "The file “",
        "system lib",
        "BIO lib", "error:0", "YamlError", "while parsing", "while scanning",
        "did not find expected",
        "could not find expected", "are not allowed in this context", "DecodingError",
        "keyNotFound",
        "typeMismatch", "dataCorrupted", "Optional(", "Error Domain", "Fatal error", "(null)",
        "UserInfo=", "eventfd", "epoll_create", "pthread_create", "memfd_create", "socketpair:",
    ]

    /// What strerror(3) says of each error, that stands at the end of its sentence with nothing to do.
    private static let bare: [String] = (1...133).map { code in
        String(cString: strerror(Int32(code)))
    }

    @Test(arguments: failures)
    func `a failure says what to do, in words`(failure: Failure) throws {
        if failure.needsRoot && geteuid() != 0 { return }
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        // The program may be run by somebody else.
        try run(["chmod", "0755", URL(fileURLWithPath: folder).deletingLastPathComponent().path])
        try run(["chmod", "0755", folder])
        let backend = try ScriptedBackend.answering(
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")
        defer { backend.stop() }
        let secure = try ProxyFixture(to: backend.address)
        let child = try ChildProcess(
            ["sh", "-c", "cd '\(folder)' || exit 99\numask 022\n\(failure.script)"],
            environment: [
                "SLUICE": try ProxyFixture.program(), "HOME": "\(folder)/home",
                "XDG_DATA_HOME": "\(folder)/home/data",
                "SERVER": "127.0.0.1:\(secure.port())",
                "OTHER": "127.0.0.1:\(backend.address.port)",
            ])
        let status = try child.waitForExit(by: .after(.seconds(60)))
        let lines = child.output + child.errors
        let said = lines.joined(separator: "\n")
        #expect(status != 0 && status != 99 && status != 127, "\(said)")
        #expect(status < 128, "it was ended by a signal: \(said)")
        #expect(!said.isEmpty)
        for raw in Self.raw { #expect(!said.contains(raw), "\(raw): \(said)") }
        for line in lines {
            let end = line.hasSuffix(".") ? String(line.dropLast()) : line
            for text in Self.bare { #expect(!end.hasSuffix(text), "nothing to do: \(line)") }
        }
        for words in failure.advice where !words.isEmpty {
            #expect(said.contains(words), "\(words): \(said)")
        }
    }

    @Test func `a log that can't be written says so, and what to do`() throws {
        let backend = try ScriptedBackend.echo()
        defer { backend.stop() }
        let proxy = try ProxyFixture(
            to: backend.address, settings: ["log: { access: /dev/full }"])
        let client = try proxy.open()
        try client.send(Frame.close(1000).masked())
        let line = try proxy.process.waitForLine(containing: "Log lines can't be written")[0]
        #expect(line.contains("make room on the disk"), "\(line)")
    }

    @Test func `an app that nobody reaches is told with what to do`() throws {
        let nobody = try PeerAddress.refusing()
        let proxy = try ProxyFixture(to: nobody)
        let client = try proxy.connect()
        let refusal = try client.refusal(of: Opening())
        #expect(refusal.status == 502)
        #expect(
            refusal.text.contains("Connection refused. Start what should listen there"),
            "\(refusal.text)")
    }
}
