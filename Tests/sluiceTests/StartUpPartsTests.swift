// SPDX-License-Identifier: Apache-2.0
import Config
import Glibc
import Reactor
import TestKit
import Testing

@testable import sluice

/// What a person sees at the start and meanwhile, part by part.
struct StartUpPartsTests {
    @Test(arguments: [
        (true, "xterm", nil, true, true), (true, "xterm", "", true, true),
        (true, "xterm", "1", true, false), (true, "dumb", nil, false, false),
        (true, nil, nil, false, false), (false, "xterm", nil, false, false),
    ])
    func `colours are for terminals whose owner wants them`(
        isTerminal: Bool, type: String?, noColor: String?, isLive: Bool, usesColor: Bool
    ) {
        let terminal = Terminal(isTerminal: isTerminal, type: type, noColor: noColor)
        #expect(terminal.isTerminal == isLive)
        #expect(terminal.usesColor == usesColor)
        let line = "route     wss://localhost:8443/… -> ws://localhost:3000"
        #expect((terminal.painted(line) == line) == !usesColor)
    }

    @Test func `labels are dim, URLs bold, notices yellow`() {
        let terminal = Terminal(isTerminal: true, type: "xterm", noColor: nil)
        #expect(
            terminal.painted("route     wss://a/ -> ws://b")
                == "\u{1B}[2mroute\u{1B}[0m     \u{1B}[1mwss://a/\u{1B}[0m -> ws://b")
        #expect(terminal.painted(Notice.line("x")) == "\u{1B}[33mnotice\u{1B}[0m    x")
        #expect(terminal.painted("routes") == "routes")
    }

    @Test func `the live line says what passed in a second, in one line`() {
        var old = Traffic()
        old.messages = 100
        old.bytes = 1_000
        var new = old
        new.messages += 250
        new.bytes += 3_000_000
        let rates = Rates(from: old, to: new, milliseconds: 2_000)
        #expect(
            Console.text(open: 3, rates, columns: 80)
                == "3 sockets open   125 messages/s   1.5 MB/s")
        #expect(Console.text(open: 1, rates, columns: 10) == "1 socket ")
        #expect(Console.text(open: 6_000, nil, columns: 80) == "6000 sockets open")
        // A relay that was missed for a moment is no negative rate.
        #expect(Rates(from: new, to: old, milliseconds: 1_000).bytes == 0)
    }

    @Test(arguments: [
        (0, "0 B"), (999, "999 B"), (1_000, "1.0 kB"), (1_540_000, "1.5 MB"),
        (999_900, "1.0 MB"), (20_000_000_000, "20.0 GB"),
    ])
    func `bytes are written for people`(bytes: UInt64, text: String) {
        #expect(Rates.size(bytes) == text)
    }

    @Test func `a usual port that is taken gives way to the next, and the owner is named`() throws {
        let taken = try Listener(address: .loopback(port: 0))
        let port = taken.address.port
        let chosen = QuickListening.choose(hosts: ["127.0.0.1"], from: port)
        #expect(chosen.addresses != ["127.0.0.1:\(port)"])
        let notice = try #require(chosen.notice)
        #expect(notice.hasPrefix("port \(port) is taken by "))
        #expect(notice.contains("(process \(getpid()))"))
        // Who takes over from another finds its own door taken, and that is fine.
        let inherited = QuickListening.choose(
            hosts: ["127.0.0.1"], from: port, inherited: [taken.address])
        #expect(inherited == QuickListening(addresses: ["127.0.0.1:\(port)"]))
    }

    @Test func `what was chosen is held, so that of two at once each has a port of its own`() throws
    {
        let port = try Listener(address: .loopback(port: 0)).address.port
        let first = QuickListening.choose(hosts: ["127.0.0.1"], from: port)
        let second = QuickListening.choose(hosts: ["127.0.0.1"], from: port)
        defer { for socket in first.held + second.held { close(socket.descriptor) } }
        #expect(first.held.count == 1 && second.held.count == 1)
        #expect(first.addresses != second.addresses)
        #expect(first.held.map { "\($0.address)" } == first.addresses)
    }

    @Test func `the app's own port is left to it, also before it is up`() throws {
        let port = try Listener(address: .loopback(port: 0)).address.port
        let chosen = QuickListening.choose(hosts: ["127.0.0.1"], from: port, besides: port)
        #expect(chosen.addresses != ["127.0.0.1:\(port)"])
        #expect(
            chosen.notice?.hasPrefix("port \(port) is the app's, so Sluice listens on ") == true)
    }

    @Test(arguments: [
        (".build/release/sluice", ".build/release/sluice"), ("./my sluice", "'./my sluice'"),
        ("sluice", "sluice"), ("/usr/local/bin/sluice", "sluice"), ("", "sluice"),
    ])
    func `commands to copy begin with what was called in a folder`(called: String, name: String) {
        #expect(Program.name(called: called) == name)
    }

    @Test(arguments: [
        ("10.1.2.3", true), ("172.16.0.1", true), ("172.32.0.1", false), ("192.168.1.1", true),
        ("192.0.2.1", false), ("169.254.1.1", true), ("100.64.0.1", true), ("100.128.0.1", false),
        ("fd00::1", true), ("2001:db8::1", false),
    ])
    func `addresses that a local authority may sign for`(host: String, isPrivate: Bool) throws {
        let address = try #require(Address(host: host, port: 0))
        #expect(NetworkAddresses.isPrivate(address) == isPrivate)
    }

    @Test func `the machine's addresses are neither loopback nor link-local`() {
        for address in NetworkAddresses.all() {
            #expect(!address.isLoopback && !address.hostString.hasPrefix("fe80:"), "\(address)")
        }
    }

    @Test(arguments: [
        (200, "an ordinary page"), (302, "follow no redirect"), (401, "log in"),
        (403, "(https://localhost:8443 where the page comes through Sluice)"),
        (404, "correct the path"), (426, "takes no WebSocket"),
        (500, "see the app's log"), (418, "serves no WebSocket"),
    ])
    func `each status of an app is explained`(status: Int, words: String) {
        let answer = AppWatch.Answer(path: "/a", status: status)
        let sentence = AppWatch.sentence(
            for: answer, label: "ws://localhost:3000", page: "https://localhost:8443")
        #expect(sentence.contains("the WebSocket at /a with \(status) and not 101"))
        #expect(sentence.contains(words))
        let hostile = AppWatch.Answer(path: "/\u{1B}[2J", status: status)
        #expect(!AppWatch.sentence(for: hostile, label: "", page: nil).contains("\u{1B}"))
    }

    @Test(arguments: ["localhost", "*.a.localhost", "*.app.test", "192.168.1.1", "::1"])
    func `names that need no entry are not told`(name: String) {
        #expect(AppWatch.sentence(forName: name) == nil)
    }

    @Test func `names and network addresses take the place of localhost in URLs`() throws {
        let tls = TLSSettings(certificates: [CertificateSettings(chain: "a", key: "b")])
        let configuration = Configuration.quick(
            listen: [":8443"], tls: tls, to: .tcp(host: "localhost", port: 3000))
        var announcement = Announcement(configuration: configuration)
        announcement.hosts = ["myapp.localhost", "*.app.test", "::1"]
        announcement.network = [try #require(Address(host: "192.168.1.20", port: 0))]
        announcement.notices = ["first of all"]
        let address = try Address(parsing: ":8443")
        let lines = announcement.lines([address])
        #expect(
            lines.prefix(5) == [
                "notice    first of all",
                "listening wss://:8443",
                "route     wss://myapp.localhost:8443/… -> ws://localhost:3000",
                "route     wss://[::1]:8443/… -> ws://localhost:3000",
                "route     wss://192.168.1.20:8443/… -> ws://localhost:3000",
            ])
        #expect(lines.contains("On a phone: https://192.168.1.20:8443/"))
        #expect(!lines.contains { $0.contains("▀") })
        let terminal = Terminal(isTerminal: true, type: "xterm", noColor: "1")
        let drawn = announcement.lines([address], terminal: terminal, columns: 80)
        #expect(drawn.contains { $0.contains("▀") })
        let narrow = announcement.lines([address], terminal: terminal, columns: 20)
        #expect(!narrow.contains { $0.contains("▀") })
    }

    @Test func `a certificate that is not for the printed names is told of`() throws {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        try run([
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes",
            "-days", "2", "-subj", "/CN=x", "-addext", "subjectAltName=DNS:app.test,DNS:*.b.test",
            "-keyout", "\(folder)/key.pem", "-out", "\(folder)/c.pem",
        ])
        func notice(_ hosts: String...) -> String? {
            QuickCommand.notice(onCertificate: "\(folder)/c.pem", for: hosts)
        }
        #expect(notice("app.test") == nil && notice("X.b.test", "app.test") == nil)
        #expect(
            notice("localhost")
                == "\(folder)/c.pem is for app.test, *.b.test and not for localhost, so clients refuse it there: add"
                + " --host app.test and use that name, or give a certificate for localhost.")
        #expect(notice("app.test", "x.y.b.test")?.contains("not for x.y.b.test,") == true)
        #expect(QuickCommand.notice(onCertificate: "\(folder)/none.pem", for: ["a"]) == nil)
    }
}
