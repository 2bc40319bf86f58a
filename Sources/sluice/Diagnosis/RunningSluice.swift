// SPDX-License-Identifier: Apache-2.0
import Admin
import Doctor
import Foundation
import Glibc
import Ledger
import Reactor
import TLS
import Trust

/// What is the matter with the Sluice that runs, as `sluice doctor` says it without a URL.
struct RunningSluice: Encodable {
    /// Whether somebody has to do something about a finding.
    enum Grade: String, Encodable {
        case good
        /// Worth knowing; nothing has to be done.
        case note
        /// Has to be mended.
        case fault
    }

    /// One thing that was looked at.
    struct Finding: Encodable {
        /// `process`, `configuration`, `listener`, `certificate`, `route`, `endpoint`.
        let what: String
        let name: String
        let grade: Grade
        /// What was found, in a sentence.
        let found: String
        /// What to change; empty where nothing has to be.
        var remedy = ""
    }

    var verdict = Verdict.healthy.rawValue
    var exitCode = Verdict.healthy.exitCode
    var sentence = ""
    var remedy = ""
    var findings: [Finding] = []
    /// What names the process to other commands, with a blank in front; empty where it needs no name.
    private var place = ""

    private enum CodingKeys: CodingKey { case verdict, exitCode, sentence, remedy, findings }

    /// A command for the process that was looked at, to be copied.
    func command(_ words: String) -> String { "sluice \(words)\(place)" }

    /// Asks the process behind the admin socket, and looks at what it names.
    static func examine(_ admin: AdminOptions) -> RunningSluice {
        do {
            let peer = try admin.peer(to: .diagnose)
            let name = (admin.admin ?? peer.unusual).map { " --admin \(Shell.word($0))" } ?? ""
            var result = examine(
                try peer.ask("GET", "/state", for: AdminState.self), named: name)
            if let place = peer.unusual {
                result.add(
                    "process", place, .note, "is its socket, which is not at the usual place",
                    "Commands that change something reach it with that as --admin.")
            }
            for other in peer.others {
                result.add(
                    "process", other, .note, "another Sluice of this user, not looked at",
                    "sluice doctor with that --admin looks at it.")
            }
            return result
        } catch let fault as AdminFault where fault.isSilent {
            var result = RunningSluice()
            result.conclude(.notRunning, fault.sentence, fault.remedy ?? "")
            return result
        } catch {
            var result = RunningSluice()
            result.conclude(.notRunning, "\(error)", notRunningRemedy)
            return result
        }
    }

    /// Looks at what a process said of itself, and at what it named.
    static func examine(_ state: AdminState, named place: String = "") -> RunningSluice {
        var result = RunningSluice()
        result.place = place
        result.look(at: state)
        let faults = result.findings.filter { $0.grade == .fault }
        if let first = faults.first {
            let more = faults.count > 1 ? " (and \(faults.count - 1) more)" : ""
            // What others said of it may be a sentence with its own end.
            let found = first.found.hasSuffix(".") ? String(first.found.dropLast()) : first.found
            result.conclude(
                .needsAttention, "\(first.what) \(first.name): \(found)\(more).", first.remedy)
        } else {
            result.conclude(.healthy, "Nothing is wrong with the Sluice that runs.", "")
        }
        return result
    }

    private static let notRunningRemedy =
        "Start it: sluice 3000 (your app's port), or sluice run -c sluice.yaml. If it runs as another user,"
        + " ask as that user; if its configuration names another admin socket, give that with --admin."

    private mutating func conclude(_ verdict: Verdict, _ sentence: String, _ remedy: String) {
        self.verdict = verdict.rawValue
        exitCode = verdict.exitCode
        self.sentence = sentence
        self.remedy = remedy
    }

    mutating func add(
        _ what: String, _ name: String, _ grade: Grade, _ found: String, _ remedy: String = ""
    ) {
        findings.append(
            Finding(what: what, name: name, grade: grade, found: found, remedy: remedy))
    }

    private mutating func look(at state: AdminState) {
        look(atProcess: state)
        look(atConfiguration: state)
        // It has closed its listeners itself, and drains everything.
        guard state.isReady else { return }
        for listener in state.listeners {
            look(at: listener, of: state.pid, isFull: state.whyClientsWait != nil)
        }
        for route in state.routes {
            if route.isLeft == true {
                let relays = Count.words(route.relays, "live relay")
                add("route", route.name, .good, "\(relays), taken out by a reload")
                continue
            }
            let relays = "\(Count.words(route.relays, "relay")), to \(route.to)"
            if route.isDraining {
                add(
                    "route", route.name, .fault, "\(relays); it is drained: new sockets get 503",
                    "\(command("drain --route \(Shell.word(route.name)) --resume")) opens it again."
                )
            } else if let closed = Self.closed(route, state.upstreams) {
                let resume = command("drain --endpoint \(Shell.word(closed[0])) --resume")
                add(
                    "route", route.name, .fault,
                    closed.count == 1
                        ? "\(relays); its endpoint is drained: new sockets get 503"
                        : "\(relays); its endpoints are all drained: new sockets get 503",
                    closed.count == 1
                        ? "\(resume) opens it again."
                        : "\(resume) opens the first again; there are \(closed.count).")
            } else {
                add("route", route.name, .good, relays)
            }
        }
        for upstream in state.upstreams {
            for endpoint in upstream.endpoints { look(at: endpoint) }
        }
    }

    /// The endpoints of a route, where all of them are drained; nil where one takes new sockets.
    private static func closed(_ route: RouteState, _ upstreams: [UpstreamState]) -> [String]? {
        let all = upstreams.first { $0.name == route.upstream }?.endpoints.filter {
            $0.state != .left
        }
        guard let all, !all.isEmpty, all.allSatisfy({ $0.state == .draining }) else { return nil }
        return all.map(\.label)
    }

    private mutating func look(atProcess state: AdminState) {
        let name = "pid \(state.pid)"
        guard state.isReady else {
            add("process", name, .fault, "it is stopping", "Wait for its end and start it again.")
            return
        }
        add(
            "process", name, .good,
            "version \(state.version), since \(state.started), \(Count.words(state.connections, "connection"))"
        )
        if state.version != Sluice.version {
            add(
                "process", name, .note, "the program here has version \(Sluice.version)",
                "\(command("upgrade")) puts it in place.")
        }
        if let reason = state.whyClientsWait {
            add(
                "process", name, .fault, "new connections wait: \(reason)",
                reason.contains("limits.connections")
                    ? "Raise limits.connections and do: \(command("reload")); \(command("status --relays")) says"
                        + " whose sockets they are."
                    : Shortage.descriptors.cure)
        }
        if state.droppedLogLines > 0 {
            add(
                "process", name, .note,
                Count.words(state.droppedLogLines, "log line", one: "was", many: "were") + " lost",
                "Give the log a faster place.")
        }
        if let problem = state.logProblem {
            add(
                "process", name, .fault, "its log can't be written: \(problem)",
                "Make room there, or let it write; lines until then are lost.")
        } else if state.unwrittenLogLines > 0 {
            add(
                "process", name, .note,
                Count.words(state.unwrittenLogLines, "log line", one: "was", many: "were")
                    + " lost: the log could not be written")
        }
    }

    private mutating func look(at endpoint: EndpointState) {
        let name = endpoint.label
        if endpoint.state == .left {
            add(
                "endpoint", name, .good,
                "is in no upstream any more; \(endpoint.active) still active there")
            return
        }
        if endpoint.addresses.isEmpty {
            add(
                "endpoint", name, .fault, "its name has no address",
                "Correct the name in the configuration, or enter it in DNS or /etc/hosts.")
            return
        }
        let addresses = endpoint.addresses.compactMap { try? Address(parsing: $0) }
        let failures = addresses.compactMap { address in
            Knock.failure(address, withinMilliseconds: 2_000).map { "\(address): \($0)" }
        }
        // localhost has two addresses, and most apps listen at one: Sluice finds that at once.
        let isLocal = addresses.allSatisfy(\.isLoopback)
        let words = failures.joined(separator: ", ")
        if failures.count == addresses.count {
            add(
                "endpoint", name, .fault, "nobody takes connections there (\(words))",
                "Start the app, or correct its address in the configuration.")
        } else if endpoint.state == .draining {
            add(
                "endpoint", name, .note, "draining: it gets no new sockets",
                "\(command("drain --endpoint \(Shell.word(name)) --resume")) opens it again.")
        } else if endpoint.state == .resting {
            add(
                "endpoint", name, .note, "it gets no new sockets",
                "Its weight in the configuration is 0; give it another one, and reload.")
        } else if endpoint.state == .unhealthy {
            let reason = endpoint.health?.lastError.map { ": \($0)" } ?? ""
            add(
                "endpoint", name, .fault,
                "it takes connections, and its health checks fail\(reason)",
                "Mend the app, or correct the check (health) in the configuration.")
        } else if !failures.isEmpty && !isLocal {
            add(
                "endpoint", name, .note,
                "takes connections, but not at all of its addresses (\(words))",
                "Start the app there too, or take that address out of DNS or /etc/hosts.")
        } else if endpoint.state == .failing {
            let reason = endpoint.lastError.map { " (\($0))" } ?? ""
            add(
                "endpoint", name, .note,
                "takes connections now, and nothing has reached it since it failed\(reason)")
        } else {
            add("endpoint", name, .good, "takes connections, \(endpoint.active) active")
        }
    }

    /// For people, line by line.
    var lines: [String] {
        var lines: [String] = []
        for finding in findings {
            let mark = finding.grade == .good ? "✓" : finding.grade == .note ? "!" : "✗"
            let what = finding.what + String(repeating: " ", count: 13 - finding.what.count)
            lines.append("  \(mark) \(what) \(finding.name): \(finding.found)")
            if !finding.remedy.isEmpty { lines.append("                  → \(finding.remedy)") }
        }
        if !lines.isEmpty { lines.append("") }
        lines.append("\(verdict): \(sentence)")
        if !remedy.isEmpty { lines.append("What to change: \(remedy)") }
        return lines
    }
}
