// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import TestKit
import Testing

@testable import sluice

/// Options of `sluice load` that have no meaning beside others.
struct LoadOptionsTests {
    @Test(arguments: [
        (["--mode", "hold", "--text"], "--text has no meaning in --mode hold"),
        (["--mode", "hold", "--binary"], "--binary has no meaning in --mode hold"),
        (["--mode", "storm", "--text"], "--text has no meaning in --mode storm"),
        (
            ["--mode", "connect", "--text"],
            "--text has no meaning in --mode connect without --http2"
        ),
        (["--mode", "push", "--text"], "in --mode push give --message too"),
        (["--mode", "push", "--binary"], "in --mode push give --message too"),
        (
            ["--mode", "connect", "--http2", "--resume", "0.5"],
            "--resume and --http2 don't go together"
        ),
    ])
    func `an option that would do nothing is refused`(options: [String], words: String) {
        #expect(refusal(["wss://localhost/"] + options)?.contains(words) == true)
    }

    @Test(arguments: [
        ["--insecure"], ["--sni", "a.test"], ["--mode", "connect", "--resume", "1"],

        ["--cert", "a.pem", "--key", "b.pem"],
    ])
    func `an option for TLS is refused without TLS`(options: [String]) {
        let words = "is for TLS: give a URL that begins with wss://"
        #expect(refusal(["ws://localhost/"] + options)?.contains(words) == true)
    }

    @Test func `an authority is one for TLS too`() throws {
        let options = ["--ca", try TestCertificates.shared().authority]
        #expect(refusal(["ws://localhost/"] + options)?.hasPrefix("--ca is for TLS") == true)
        #expect(refusal(["wss://localhost/"] + options) == nil)
    }

    @Test(arguments: [
        ["--text"], ["--mode", "stream", "--text"],
        ["--mode", "push", "--message", "a", "--binary"],
        ["--mode", "connect", "--http2", "--text"], ["--mode", "connect", "--resume", "0.5"],
        ["--insecure", "--sni", "a.test"], ["--mode", "hold", "--deflate"],
    ])
    func `options that do something are taken`(options: [String]) {
        #expect(refusal(["wss://localhost/"] + options) == nil)
    }

    /// Why a command line is refused; nil where it is not.
    private func refusal(_ arguments: [String]) -> String? {
        do {
            _ = try LoadTestCommand.parse(arguments)
            return nil
        } catch {
            return LoadTestCommand.message(for: error)
        }
    }
}
