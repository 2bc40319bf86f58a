// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Foundation
import Testing

@testable import sluice

/// What is suggested for a wrong command line is one that is taken.
struct SuggestedCommandTests {
    /// What is answered to a command line; nil where it is taken.
    private func refusal(_ arguments: [String]) -> String? {
        let arguments = WrongArguments.helpFirst(arguments)
        if let fault = WrongArguments.inHelp(arguments) { return fault }
        do {
            _ = try Sluice.parseAsRoot(arguments)
            return WrongArguments.fault(inTaken: CommandWords(arguments))
        } catch {
            if Sluice.exitCode(for: error) == .success { return nil }
            let message = Sluice.message(for: error)
            return WrongArguments.fault(inRefused: CommandWords(arguments), message: message)
                ?? message
        }
    }

    /// A command line, and the words that have to be suggested.
    private static let slips: [(line: String, suggested: [String])] = [
        ("serve 3000", ["sluice 3000"]), ("start localhost:3000/x", ["sluice localhost:3000/x"]),
        ("Proxy ws://127.0.0.1:3000", ["sluice ws://127.0.0.1:3000"]),
        ("up unix:/run/app.sock", ["sluice unix:/run/app.sock"]),
        ("strat 3000", ["sluice 3000"]), ("rum 3000", ["sluice 3000"]),
        ("start s.yaml", ["sluice run s.yaml"]), ("serve", ["sluice 3000", "sluice run -c FILE"]),
        ("rum", ["sluice 3000", "sluice run -c FILE"]),
        ("serve nonsense", ["sluice run"]),
        ("run 3000", ["sluice 3000"]), ("check -c 3000", ["sluice 3000"]),
        ("statsu", ["sluice status"]), ("version", ["sluice --version"]),
        ("usage", ["sluice --help"]), ("stop", ["sluice drain"]), ("trust", ["sluice cert trust"]),
        ("localhost 3000", ["sluice localhost:3000"]), ("a..b 3000", []),
        ("s.yaml", ["sluice run s.yaml"]), ("cert lsit", ["sluice cert list"]),
        ("cert lsit app.test", []), ("help drian", ["sluice help drain"]),
        ("cert help lsit", ["sluice help cert list"]),
        ("cert export ca.pem", ["sluice cert export --output ca.pem"]),
        ("schema out.json", ["sluice schema > out.json"]),
        (
            "schema -c s.yaml", ["sluice check -c FILE"]
        ),
        ("echo -c s.yaml", ["sluice echo", "sluice run -c FILE", "sluice check -c FILE"]),
        ("3000 -c s.yaml", ["sluice run -c FILE"]),
        ("cert list d", ["sluice cert list --directory d"]),
        ("run s.yaml --status", ["sluice status"]),
        ("drain /chat", ["sluice drain --route /chat"]),
        ("drain a:1", ["sluice drain --endpoint a:1"]),
        ("rebalance chat", ["sluice rebalance --upstream chat"]),
    ]

    @Test(arguments: slips)
    func `a command that is suggested is taken`(line: String, suggested: [String]) throws {
        let words = line.split(separator: " ").map(String.init)
        let said = try #require(refusal(words) ?? (suggested.isEmpty ? "" : nil), "\(line)")
        // The first line: what follows is the usage.
        let first = said.prefix { $0 != "\n" }
        let found = first.matches(of: #/`(sluice[^`]*)`/#).map { String($0.1) }
        for command in suggested { #expect(found.contains(command), "\(said)") }
        for command in found where suggested.contains(command) {
            let words = command.split(separator: " ").map(String.init)
            // What a shell makes of the rest is not the program's.
            let own = words.dropFirst().prefix { $0 != ">" }
            let isBare = ["sluice run", "sluice rebalance"].contains(command)
            #expect(isBare || refusal(Array(own)) == nil, "\(command)")
        }
    }

    @Test(arguments: [
        (["drain", "--spread", "1"], "--spread 1s"),
        (["drain", "--timeout", "5min"], "--timeout 5m"),
        (["upgrade", "--timeout", "5"], "--timeout 5s"), (["upgrade", "--timeout", "00"], nil),
        (["doctor", "wss://a", "--idle", "70s"], "--idle 70"),
        (["doctor", "wss://a", "--timeout", "500ms"], "--timeout 0.5"),
        (["3000", "--origin", "https://a.b/path"], "--origin https://a.b"),
        (["3000", "--origin", "*"], nil),
        (["3000", "--origin", "*", "--origin", "https://a.b"], nil),
    ])
    func `a value that is suggested is taken`(arguments: [String], suggested: String?) throws {
        let said = try #require(refusal(arguments))
        let found = said.firstMatch(of: #/Did you mean (--[a-z]+ [^ ]+)\?/#).map { String($0.1) }
        #expect(found == suggested, "\(said)")
        guard let found else { return }
        let words = found.split(separator: " ").map(String.init)
        let place = try #require(arguments.firstIndex(of: words[0]))
        #expect(refusal(Array(arguments[..<place]) + words) == nil, "\(found)")
    }

    @Test(arguments: [
        ("do sluice cert trust, then it works", "do ./s cert trust, then it works"),
        ("`sluice 3000` or sluice PORT", "`./s 3000` or ./s PORT"),
        ("Put TLS in front: sluice 3000 makes it", "Put TLS in front: ./s 3000 makes it"),
        (
            "sluice does that; start sluice without sudo",
            "sluice does that; start sluice without sudo"
        ),
        ("/etc/sluice cert", "/etc/sluice cert"), ("./my-sluice cert", "./my-sluice cert"),
        ("sluice", "sluice"), ("sluice ", "sluice "), ("sluice certificate", "sluice certificate"),
        ("sluice --help", "./s --help"), ("sluice cert", "./s cert"),
    ])
    func `commands in a text are those that can be pasted`(text: String, shown: String) {
        #expect(Program.pasteable(text, as: "./s") == shown)
        #expect(Program.pasteable(text, as: "sluice") == text)
    }
}
