// SPDX-License-Identifier: Apache-2.0
//
// Goal: whoever types something wrong is told what is wrong and what to type, before anything is done.
// Method: the real program with each slip; the exit code is 64, nothing goes to standard output, and the words
// that help are in standard error.

import Foundation
import TestKit
import Testing

@Suite struct UsageTests {
    /// A command line, and what it is answered.
    struct Slip: Sendable, CustomStringConvertible {
        let arguments: [String]
        let words: [String]
        var description: String { arguments.joined(separator: " ") }
    }

    /// A command line whose words are apart by spaces; `''` is an empty one.
    private static func slip(_ line: String, _ words: String...) -> Slip {
        let arguments = line.split(separator: " ").map { $0 == "''" ? "" : String($0) }
        return Slip(arguments: arguments, words: words)
    }

    private func refusal(_ slip: Slip) throws -> String {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let child = try ChildProcess(
            [try ProxyFixture.program()] + slip.arguments,
            environment: ["HOME": folder, "XDG_DATA_HOME": "\(folder)/data", "TMPDIR": folder])
        let status = try child.waitForExit()
        let errors = child.errors.joined(separator: "\n")
        #expect(status == 64, "\(slip): \(errors)")
        #expect(child.output.isEmpty, "\(slip): \(child.output)")
        #expect(errors.hasPrefix("Error: "), "\(slip): \(errors)")
        #expect(errors.lowercased().contains("usage: "), "\(slip): \(errors)")
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder).isEmpty, "\(slip)")
        return errors
    }

    private static let repeated = [
        slip("run -c a.yaml -c b.yaml", "-c counts once, and stands twice: -c a.yaml, -c b.yaml."),
        slip("check --config a.yaml -c=b.yaml", "stands twice: --config a.yaml, -c b.yaml."),
        slip(
            "check -c a.yaml a.yaml", "Two configurations are named, a.yaml and a.yaml: give one."),
        slip("run a.yaml b.yaml", "One configuration can be given, found 2: a.yaml and b.yaml."),
        slip("run a.yaml --workers 1 --workers 2", "--workers counts once"),
        slip("status --admin /a --admin /b", "--admin counts once"),
        slip("status --route / --route /", "--route counts once"),
        slip("reload --admin /a --admin /a --admin /b", "stands 3 times"),
        slip("drain --code 1000 --code 1001", "--code counts once"),
        slip("rebalance --upstream a --upstream b", "--upstream counts once"),
        slip("upgrade --timeout 1s --timeout 2s", "--timeout counts once"),
        slip("cert --directory a --directory b", "--directory counts once"),
        slip("cert trust --root / --root /", "--root counts once"),
        slip("cert export --output a --output b", "--output counts once"),
        slip("doctor wss://a --origin x --origin y", "--origin counts once"),
        slip("doctor wss://a wss://b", "One URL can be looked at, found 2: wss://a and wss://b."),
        slip("cert show a.pem b.pem", "One certificate can be shown, found 2: a.pem and b.pem."),
        slip("3000 --path /a --path /b", "--path counts once"),
        slip("3000 --listen 1 --listen 1", "127.0.0.1:1 stands twice"),
        slip("echo 1 localhost:1", "127.0.0.1:1 stands twice"),
        slip(
            "localhost:3000/x --path /y",
            "Two paths are given, /x in localhost:3000/x and --path /y"),
        slip("drain --route / --endpoint a:1", "--route and --endpoint don't go together"),
    ]

    @Test(arguments: repeated)
    func `what counts once is refused where it stands twice`(slip: Slip) throws {
        let errors = try refusal(slip)
        for words in slip.words { #expect(errors.contains(words), "\(slip): \(errors)") }
    }

    private static let misplaced = [
        slip("/run/x.sock", "Did you mean `sluice unix:/run/x.sock`"),
        slip("statsu --json", "statsu is no command and no app. Did you mean `sluice status`?"),
        slip("localhost 3000", "localhost names no port. Did you mean `sluice localhost:3000`?"),
        slip("99999", "99999 is no port, which is a number from 1 to 65535"),
        slip("--port 3000", "No app is named.", "did you mean `sluice 3000`?"),
        slip(
            "3000 --port 9000", "the app's port stands by itself, as in `sluice 9000`",
            "--listen 9000 is for this machine"),
        slip("echo --port 3000", "There is no --port: --listen 3000 is for this machine"),
        slip("doctor --port 3000", "A port stands by itself: `sluice doctor 3000`."),
        slip("ws://me:pw@a:1/x", "and Sluice sends none", "as in `sluice ws://a:1/x`"),
        slip("3000 4000", "one app, found 3000 and 4000", "sluice 3000 --listen 4000"),
        slip("3000 app:4000", "one app, found 3000 and app:4000", "sluice run -c FILE"),
        slip("3000:8443", "is two ports", "sluice 3000 --listen 8443"),
        slip("untrust", "Did you mean `sluice cert untrust`?"),
        slip("cert ls", "Did you mean `sluice cert list`?"),
        slip("cert create localhost", "Did you mean `sluice cert make localhost`?"),
        slip("s.yaml --workers 2", "s.yaml is a configuration", "`sluice run s.yaml`"),
        slip("-c s.yaml", "s.yaml is a configuration"),
        slip("--lan", "No app is named: give its port, as in `sluice 3000`."),
        slip("cert export ca.pem", "Did you mean `sluice cert export --output ca.pem`?"),
        slip("schema out.json", "Did you mean `sluice schema > out.json`?"),
        slip("serve 3000", "serve is no command and no app. Did you mean `sluice 3000`?"),
        slip("run 3000", "Did you mean `sluice 3000`, for the app at that port?"),
        slip("schema -c x", "same for every configuration", "`sluice check -c FILE`"),
        slip("schema --output X", "Unknown option '--output'.", "sluice schema > FILE"),
        slip("cert list d", "`sluice cert list --directory d`"),
        slip("cert renew d", "`sluice cert renew --directory d`"),
        slip("cert --dir x", "Unknown option '--dir'. Did you mean '--directory'?"),
        slip("echo foo", "An address to listen at is a port (8443)", "found foo."),
        slip("run s.yaml --listen 9", "The configuration says that, under listen."),
        slip("check s.yaml --origin x", "under routes[].origins."),
        slip("run s.yaml --status", "Did you mean `sluice status`?"),
        slip("status -c s.yaml", "--admin says which Sluice is meant."),
        slip("reload s.yaml", "reads the file that it was started with"),
        slip("upgrade sluice", "Install the new program there first."),
        slip("drain /chat", "Did you mean `sluice drain --route /chat`?"),
        slip("drain 10.0.0.2:9000", "Did you mean `sluice drain --endpoint 10.0.0.2:9000`?"),
        slip("load", "No server is named: give its URL"),
        slip(
            "load ws://a:1 ws://b:1",
            "One server can be loaded at a time, found ws://a:1 and ws://b:1."),
        slip("load ws://a:1 -c x", "`sluice load` reads no configuration"),
        slip("load ws://a:1 --users 5", "Did you mean '--connections'?"),
        slip("load ws://a:1 --rate 5 --in-flight 2", "--rate and --in-flight don't go together"),
        slip(
            "load ws://a:1 --mode hold --rate 5", "--rate is for --mode echo, not for --mode hold."),
        slip("load ws://a:1 --expect p98<1ms", "there is no measure “p98”"),
        slip("load compare a.json b.json c.json", "Two reports are compared, found 3"),
        slip("top /chat", "Did you mean `sluice top --filter /chat`?"),
        slip("status ws://a:1", "Did you mean `sluice status --endpoint ws://a:1`?"),
        slip("rebalance chat", "Did you mean `sluice rebalance --upstream chat`?"),
        slip("reload --spread 1s", "It is an option of `sluice drain`."),
    ]

    @Test(arguments: misplaced)
    func `a word that stands in the wrong place is told with the right one`(slip: Slip) throws {
        let errors = try refusal(slip)
        for words in slip.words { #expect(errors.contains(words), "\(slip): \(errors)") }
    }

    private static let ofLoad = [
        slip("load", "\nUsage: sluice load wss://localhost:8443/chat\n"),
        slip("load ws://a:1 --rate 5 --in-flight 2", "--rate 500/s\n"),
        slip(
            "load ws://a:1 --mode hold --rate 5",
            "\nUsage: sluice load wss://app.test/ws --mode hold"),
        slip("load ws://a:1 --mode storm --back-off 2s..1s", " --mode storm --back-off 1s..30s\n"),
        slip("load ws://a:1 --speed 2x", " --replay frames.jsonl --speed 10x --connections 500\n"),
        slip("load ws://a:1 --insecure --ca x", "\nUsage: sluice load wss://"),
    ]

    @Test(arguments: ofLoad)
    func `of a long usage the line that fits is shown, and the command as it was typed`(
        slip: Slip
    ) throws {
        let errors = try refusal(slip)
        for words in slip.words { #expect(errors.contains(words), "\(slip): \(errors)") }
        #expect(errors.hasSuffix("See 'sluice load --help' for more information."), "\(errors)")
        let lines = errors.split(separator: "\n")
        let shown = lines.drop { !$0.hasPrefix("Usage: ") }
        #expect(shown.count == 2, "\(errors)")
    }

    private static let unprintable = [
        Slip(
            arguments: ["3000\r"],
            words: ["'3000\\r' has a blank or a line end", "Did you mean `sluice 3000`?"]),
        Slip(arguments: [" "], words: ["and nothing else"]),
        Slip(
            arguments: ["\u{1b}[31mfoo"], words: ["\\u{1b}[31mfoo is no command and no app"]),
    ]

    @Test(arguments: unprintable)
    func `what steers a terminal is shown as an escape`(slip: Slip) throws {
        let errors = try refusal(slip)
        for words in slip.words { #expect(errors.contains(words), "\(slip): \(errors)") }
        #expect(!errors.contains("\r") && !errors.contains("\u{1b}"), "\(errors)")
    }

    /// Swift would put U+FFFD in its place, which is the name of another file.
    @Test func `a word that is not in UTF-8 is refused, and nothing is made by its name`() throws {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        for command in ["check $'\\xff.yaml'", "cert --directory $'d\\xff'"] {
            let said = try ended([
                "bash", "-c",
                "cd '\(folder)' && : > $'\\xff.yaml' && '\(try ProxyFixture.program())' \(command)",
            ])
            #expect(said.status == 64, "\(command): \(said)")
            #expect(said.output.contains("this word is not in UTF-8"), "\(command): \(said)")
        }
        #expect(try ended(["sh", "-c", "ls '\(folder)' | wc -l"]).output == "1\n")
    }

    private static let values = [
        slip("drain --spread 1", "--spread takes a duration", "Did you mean --spread 1s?"),
        slip("drain --timeout 8d", "--timeout takes a duration up to 7d, as 30s, found 8d."),
        slip("drain --spread -1", "--spread takes a duration", "found -1."),
        slip("drain --timeout 5min", "Did you mean --timeout 5m?"),
        slip("upgrade --timeout 5", "Did you mean --timeout 5s?"),
        slip("upgrade --timeout 0s", "above 0s and up to 1h, as 30s, found 0s."),
        slip("rebalance --upstream a --rate 1000001", "from 1 to 1000000, as 50/s"),
        slip("doctor wss://a --idle -1", "Error: --idle takes seconds, more than 0", "found -1."),
        slip("doctor wss://a --idle 70s", "Did you mean --idle 70?"),
        slip("doctor wss://a --idle 2d", "at most 86400, found 2d.\n"),
        slip("upgrade --timeout 5000", "up to 1h, as 30s, found 5000.\n"),
        slip("doctor wss://a --timeout 500ms", "Did you mean --timeout 0.5?"),
        slip("doctor wss://a --slow --json", "--slow takes seconds", "found --json."),
        slip(
            "doctor wss://a --ca nope.pem",
            "--ca: nope.pem: there is no such file; correct the path"),
        slip(
            "cert show wss://a --ca nope.pem",
            "--ca: nope.pem: there is no such file; correct the path"),
        slip("doctor wss://a --resolve a:nowhere", "--resolve takes name:address"),
        slip("status --close xyz", "--close takes the id of a relay", "tells its app, found xyz."),
        slip("status --client localhost", "--client takes an address, as 192.0.2.7"),
        slip("status --limit -1", "--limit takes a whole number", "found -1."),
        slip("status --close 0-0-0 --code -1", "--code takes 1000, 1001", "found -1."),
        slip("3000 --workers -1", "--workers takes a whole number from 1 to 1024, found -1."),
        slip("run s.yaml --workers -1", "--workers takes a whole number from 1 to 1024, found -1."),
        slip("3000 --origin https://a.b/path", "has no path", "Did you mean --origin https://a.b?"),
        slip("18443 --listen 18443", "Sluice would call itself"),
        slip("127.0.0.1:18443 --listen :18443", "Sluice would call itself"),
        slip("cert list --directory ''", "--directory has an empty value."),
        slip("cert export --output ''", "--output has an empty value."),
        slip("3000 --cert '' --key ''", "--cert has an empty value."),
        slip("drain --endpoint ''", "--endpoint has an empty value."),
        slip("run ''", "One of the words is empty.", "variable of a script"),
        slip("doctor wss://localhost:8443/x#frag", "has no fragment", "leave #frag out"),
        slip("doctor wss://localhost:99999", "its port is 99999", "from 1 to 65535"),
        slip("status --admin=", "--admin has an empty value."),
    ]

    @Test(arguments: values)
    func `a value that can be judged is, before anything is asked or made`(slip: Slip) throws {
        let errors = try refusal(slip)
        for words in slip.words { #expect(errors.contains(words), "\(slip): \(errors)") }
        #expect(!errors.contains("The value '"), "said twice: \(errors)")
    }

    @Test func `without a word the first steps are shown, and no error of the parser's`() throws {
        let errors = try refusal(Slip(arguments: [], words: []))
        for step in ["sluice 3000 ", "sluice run -c sluice.yaml ", "sluice doctor URL ", "--help"] {
            #expect(errors.contains(step), "\(errors)")
        }
        #expect(!errors.contains("<upstream>"), "\(errors)")
        #expect(errors.split(separator: "\n").count < 10, "\(errors)")
    }

    @Test func `an option that may be repeated may be, and a path that covers the app's is fine`()
        throws
    {
        let app = try ScriptedBackend.silent()
        defer { app.stop() }
        let proxy = try ProxyFixture(
            arguments: [
                "ws://127.0.0.1:\(app.address.port)/Esv/ocp", "--path", "/Esv/*", "--listen", "0",
                "--listen", "0", "--host", "a.localhost", "--host", "b.localhost", "--no-check",
            ], listenerCount: 2)
        try proxy.process.waitForLine(
            containing: "route     wss://b.localhost:\(proxy.port(1))/Esv/… ->")
        try proxy.process.waitForLine(
            containing: "socket    wss://b.localhost:\(proxy.port(1))/Esv/ocp")
    }

    @Test func `no help says a default twice`() throws {
        let child = try ChildProcess([try ProxyFixture.program(), "--experimental-dump-help"])
        #expect(try child.waitForExit() == 0)
        let whole = try JSONSerialization.jsonObject(
            with: Data(child.output.joined(separator: "\n").utf8))
        var count = 0
        func visit(_ command: [String: Any]) {
            for argument in command["arguments"] as? [[String: Any]] ?? [] {
                guard let text = argument["abstract"] as? String, text.contains("(default:") else {
                    continue
                }
                count += 1
                #expect(argument["defaultValue"] == nil, "\(argument)")
            }
            for child in command["subcommands"] as? [[String: Any]] ?? [] { visit(child) }
        }
        visit(try #require((whole as? [String: Any])?["command"] as? [String: Any]))
        #expect(count > 10)
    }
}
