// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Config
import Testing

@testable import sluice

/// The app of quick mode, as people write it.
struct QuickUpstreamTests {
    @Test(arguments: [
        ("3000", "ws://localhost:3000", nil),
        ("65535", "ws://localhost:65535", nil),
        ("app:3000", "ws://app:3000", nil),
        ("app.internal:9000", "ws://app.internal:9000", nil),
        ("127.0.0.1:3000", "ws://127.0.0.1:3000", nil),
        ("[::1]:3000", "ws://[::1]:3000", nil),
        ("ws://app", "ws://app:80", nil),
        ("ws://app:3000", "ws://app:3000", nil),
        ("ws://app:3000/", "ws://app:3000", nil),
        ("ws://app:3000/Esv/ocp", "ws://app:3000", "/Esv/ocp"),
        ("ws://app:3000/Esv/ocp?x=1", "ws://app:3000", "/Esv/ocp"),
        ("app:3000/Esv/", "ws://app:3000", "/Esv/"),
        ("http://localhost:3000/Esv", "ws://localhost:3000", "/Esv"),
        ("HTTP://localhost:3000", "ws://localhost:3000", nil),
        ("27000/Esv", "ws://localhost:27000", "/Esv"), ("3000/", "ws://localhost:3000", nil),
        ("unix:/run/app.sock", "unix:/run/app.sock", nil),
        ("https://localhost:5001", "wss://localhost:5001", nil),
        ("WSS://app/Esv/ocp", "wss://app:443", "/Esv/ocp"),
        ("HTTPS://[::1]:5001/", "wss://[::1]:5001", nil),
    ])
    func `an app is understood`(text: String, endpoint: String, path: String?) throws {
        let upstream = try QuickUpstream(parsing: text)
        #expect(upstream.endpoint.description == endpoint)
        #expect(upstream.path == path)
    }

    @Test(arguments: [
        ("3000/x?y=1", "ws://localhost:3000", "/x", "/x?y=1"),
        ("ws://app:3000/Esv/ocp?x=1&y=%20", "ws://app:3000", "/Esv/ocp", "/Esv/ocp?x=1&y=%20"),
        ("3000?y=1", "ws://localhost:3000", nil, "/?y=1"),
        ("http://app?y", "ws://app:80", nil, "/?y"), ("app:1/?", "ws://app:1", nil, "/?"),
        ("app:1/x", "ws://app:1", "/x", "/x"), ("3000", "ws://localhost:3000", nil, nil),
    ])
    func `the query of the app's URL is kept`(
        text: String, endpoint: String, path: String?, target: String?
    ) throws {
        let upstream = try QuickUpstream(parsing: text)
        #expect(upstream.endpoint.description == endpoint)
        #expect(upstream.path == path && upstream.target == target, "\(upstream)")
    }

    @Test(arguments: [
        ("ws://app:3000/Esv#top", "leave #top out"), ("3000/x?y#z", "leave #z out"),
        ("3000/x?a b", "%20 for a blank"), ("3000/x?ü", "stand in a query as %XX"),
    ])
    func `what a WebSocket's URL can't have is told`(text: String, words: String) {
        let fault = #expect(throws: ValidationError.self) { try QuickUpstream(parsing: text) }
        #expect(fault?.message.contains(words) == true, "\(String(describing: fault))")
    }

    @Test(arguments: [
        "", ":3000", "app:", "app:0", "app:65536", "0/a", "65536/a",
        "a b:1", "::1:3000",
        "ftp://app:1", "unix:", "unix:app.sock", "ws://",
    ])
    func `what names no app is refused with what would`(text: String) {
        #expect(complaint(text)?.contains("give a port (3000), host:port, ws://") == true)
        #expect(complaint(text)?.hasPrefix(text) == true)
    }

    @Test(arguments: [
        ("user@app:1", "sluice app:1"),
        ("ws://me:secret@127.0.0.1:3000/x?y=1", "sluice 'ws://127.0.0.1:3000/x?y=1'"),
        ("http://me:secret@app", "sluice http://app"),
    ])
    func `a login in front of the host is refused, and a password is not printed`(
        text: String, command: String
    ) throws {
        let said = try #require(usage(text))
        #expect(said.contains("has a user or a password in front of the host"), "\(said)")
        #expect(said.contains("as in `\(command)`") && said.contains("Authorization"), "\(said)")
        #expect(!said.contains("secret"), "\(said)")
    }

    @Test(arguments: ["0", "65536", "99999999"])
    func `a number that is no port is told which are`(text: String) {
        #expect(
            usage(text)?.hasPrefix("\(text) is no port, which is a number from 1 to 65535") == true)
    }

    @Test(arguments: ["sluice.yaml", "etc/S.YML"])
    func `a configuration is no app, and what serves it is named`(text: String) {
        #expect(usage(text)?.hasSuffix("Did you mean `sluice run \(text)`?") == true)
    }

    @Test(arguments: [
        ("3000", 3000), ("127.0.0.2:3000", 3000), ("[::1]:3000/x", 3000), ("app.test:3000", nil),
        ("192.0.2.1:3000", nil), ("unix:/run/app.sock", nil),
    ])
    func `the port of an app of this machine is known`(text: String, port: UInt16?) throws {
        #expect(try QuickUpstream(parsing: text).loopbackPort == port)
    }

    @Test(arguments: [
        ("version", "sluice --version"), ("serve", "sluice run"), ("sttaus", "sluice status"),
        ("chekc", "sluice check"), ("Doctor", "sluice doctor"), ("trust", "sluice cert trust"),
        ("stop", "sluice drain"), ("halp", "sluice help"), ("sevre", "sluice run"),
    ])
    func `a bare word is no app but a command, and the likely one is named`(
        word: String, meant: String
    ) {
        #expect(usage(word) == "\(word) is no command and no app. Did you mean `\(meant)`?")
    }

    @Test func `a word that resembles no command is told what there is`() {
        let text = usage("xylophone")
        #expect(text?.contains("a port (3000), host:port or ws://host:port/path") == true)
        #expect(text?.contains("run, check, schema, cert") == true)
    }

    @Test(arguments: ["app.internal", "localhost", "127.0.0.1"])
    func `a host without a port is told how to name one`(text: String) {
        #expect(
            usage(text)
                == "\(text) names no port: write \(text):3000, or ws://\(text) for port 80.")
    }

    private func usage(_ text: String) -> String? {
        do {
            _ = try QuickUpstream(parsing: text)
            return nil
        } catch {
            return (error as? ValidationError)?.message
        }
    }

    private func complaint(_ text: String) -> String? {
        do {
            _ = try QuickUpstream(parsing: text)
            return nil
        } catch {
            return "\(error)"
        }
    }
}
