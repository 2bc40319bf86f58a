// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import TestKit
import Testing

@testable import Doctor

/// Goal: without a URL the doctor says what is wrong with the Sluice that runs, and what to change.
///
/// Method: the real program, asked through its admin socket by the same program.
struct RunningSluiceTests {
    /// What the program said, as JSON.
    private struct Report: Decodable {
        struct Finding: Decodable {
            let what: String
            let name: String
            let grade: String
            let found: String
            let remedy: String
        }

        let verdict: String
        let exitCode: Int32
        let sentence: String
        let remedy: String
        let findings: [Finding]

        func finding(_ what: String, _ words: String) -> Finding? {
            findings.first { $0.what == what && "\($0.name) \($0.found)".contains(words) }
        }
    }

    /// A Sluice with an admin socket of its own, and the folder in which its configuration stands.
    private struct Patient {
        let folder: String
        let proxy: ProxyFixture
        var socket: String { "\(folder)/admin.sock" }

        init(to upstream: PeerAddress, listeners: [ProxyListener] = [.tls(), .plain]) throws {
            folder = try Scratch.makeFolder()
            proxy = try ProxyFixture(
                to: upstream, listeners: listeners,
                settings: ["admin: { socket: \(folder)/admin.sock }"])
        }

        func examine() throws -> Report {
            try RunningSluiceTests.examine(["--admin", socket], home: folder)
        }

        func reload() throws {
            try run([try ProxyFixture.program(), "reload", "--admin", socket])
        }
    }

    private static func examine(
        _ arguments: [String], home: String, environment: [String: String] = [:],
        wrapper: [String] = []
    ) throws -> Report {
        let child = try ChildProcess(
            wrapper + [try ProxyFixture.program(), "doctor", "--json"] + arguments,
            environment: ["HOME": home, "XDG_DATA_HOME": "\(home)/data"]
                .merging(environment) { $1 })
        let status = try child.waitForExit()
        let text = child.output.joined(separator: "\n")
        let report = try JSONDecoder().decode(Report.self, from: Data(text.utf8))
        let verdict = try #require(Verdict(rawValue: report.verdict), "\(report)")
        #expect(status == verdict.exitCode && status == report.exitCode, "\(report)")
        #expect(report.remedy.isEmpty == (verdict == .healthy), "\(report)")
        return report
    }

    @Test func `where no Sluice runs, that is said and how to start one`() throws {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let report = try Self.examine(
            [], home: folder,
            environment: ["XDG_RUNTIME_DIR": "\(folder)/nothing", "TMPDIR": folder])
        #expect(report.verdict == "not-running", "\(report)")
        #expect(report.sentence.contains("No Sluice answers at "))
        // All places that the help names, also where nothing is there.
        #expect(
            report.sentence.contains(
                "answers at \(folder)/nothing/sluice.sock, /run/sluice/sluice.sock or"
                    + " \(folder)/sluice-\(geteuid())/sluice.sock."), "\(report)")
        #expect(report.remedy.contains("sluice 3000"))
        // A socket that a killed process left behind.
        let named = try Self.examine(["--admin", "\(folder)/sluice.sock"], home: folder)
        #expect(named.verdict == "not-running" && named.sentence.contains("Nobody answers"))
    }

    @Test func `a sound one is looked at part by part`() throws {
        let backend = try ScriptedBackend.echo()
        let patient = try Patient(to: backend.address)
        defer { Scratch.remove(patient.folder) }
        let report = try patient.examine()
        #expect(report.verdict == "healthy", "\(report)")
        #expect(report.findings.allSatisfy { $0.grade == "good" }, "\(report)")
        #expect(
            Set(report.findings.map(\.what)) == [
                "process", "configuration", "listener", "certificate", "route", "endpoint",
            ])
        #expect(
            report.finding("listener", "wss://")?.found
                == "takes connections, h2 and http/1.1, TLSv1.3", "\(report)")
        #expect(
            report.finding("listener", "ws://")?.found
                == "takes connections, http/1.1, without TLS", "\(report)")
        #expect(report.finding("certificate", "localhost, 127.0.0.1") != nil, "\(report)")
        #expect(backend.receivedCount == 0, "the app is asked nothing")
    }

    @Test func `an app that is not there`() throws {
        let patient = try Patient(to: try PeerAddress.refusing())
        defer { Scratch.remove(patient.folder) }
        let report = try patient.examine()
        #expect(report.verdict == "needs-attention", "\(report)")
        #expect(report.sentence.contains("Connection refused"), "\(report)")
        #expect(report.remedy.contains("Start the app"))
        #expect(report.finding("endpoint", "nobody takes connections")?.grade == "fault")
    }

    @Test func `a certificate that was replaced and not taken up, until it is`() throws {
        let backend = try ScriptedBackend.echo()
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let files = FileManager.default
        func put(_ identity: TestIdentity) throws {
            for (from, name) in [(identity.chain, "chain.pem"), (identity.key, "key.pem")] {
                try? files.removeItem(atPath: "\(folder)/\(name)")
                try files.copyItem(atPath: from, toPath: "\(folder)/\(name)")
            }
        }
        let certificates = try TestCertificates.shared()
        try put(certificates.local)
        let own = TestIdentity(chain: "\(folder)/chain.pem", key: "\(folder)/key.pem")
        let patient = try Patient(to: backend.address, listeners: [.tls([own])])
        defer { Scratch.remove(patient.folder) }
        #expect(try patient.examine().verdict == "healthy")
        try put(try certificates.issueLocal("renewed"))
        let report = try patient.examine()
        #expect(report.verdict == "needs-attention", "\(report)")
        #expect(report.finding("listener", "serves another certificate") != nil, "\(report)")
        #expect(report.remedy.contains("sluice reload"))
        try patient.reload()
        #expect(try patient.examine().verdict == "healthy")
    }

    @Test func `a certificate whose time is nearly over`() throws {
        let papers = try Papers()
        defer { papers.remove() }
        let last = Date().addingTimeInterval(5 * 86_400 + 3_600).ISO8601Format()
        let end = last.filter { $0 != "-" && $0 != ":" && $0 != "T" }
        let files = try papers.issue("soon", to: end)
        let identity = TestIdentity(chain: files[1], key: files[3])
        let backend = try ScriptedBackend.echo()
        let patient = try Patient(to: backend.address, listeners: [.tls([identity])])
        defer { Scratch.remove(patient.folder) }
        let report = try patient.examine()
        #expect(report.verdict == "needs-attention", "\(report)")
        #expect(report.sentence.contains("its time is over in 5 days"), "\(report)")
        // Who looks from outside is told too.
        let walk = try diagnose(patient.proxy.url(), ["--ca", papers.authority])
        #expect(walk.verdict == "healthy", "\(walk)")
        #expect(
            walk.notes.contains { $0.contains("is over in 5 days, on \(last.prefix(10))") },
            "\(walk)")
    }

    @Test func `a configuration that could not be taken up, or was not yet`() throws {
        let backend = try ScriptedBackend.echo()
        let patient = try Patient(to: backend.address)
        defer { Scratch.remove(patient.folder) }
        let path = patient.proxy.configurationPath
        let text = try Scratch.read(path)
        try Scratch.write(text + "nonsense: 1\n", to: path)
        let broken = try patient.examine()
        #expect(broken.verdict == "needs-attention", "\(broken)")
        #expect(broken.finding("configuration", "nonsense")?.grade == "fault", "\(broken)")
        // Changed later than it was read, by the clock of files.
        try Scratch.write(text, to: path)
        try FileManager.default.setAttributes(
            [.modificationDate: Date().addingTimeInterval(60)], ofItemAtPath: path)
        let changed = try patient.examine()
        #expect(changed.verdict == "healthy", "\(changed)")
        #expect(changed.finding("configuration", "changed after it was read")?.grade == "note")
    }

    @Test func `people read ticks and crosses, and what to change`() throws {
        let patient = try Patient(to: try PeerAddress.refusing())
        defer { Scratch.remove(patient.folder) }
        func lines(_ arguments: [String]) throws -> [String] {
            let child = try ChildProcess(
                [try ProxyFixture.program(), "doctor"] + arguments,
                environment: ["HOME": patient.folder, "XDG_DATA_HOME": "\(patient.folder)/data"])
            try child.waitForExit()
            return child.output
        }
        let around = try lines(["--admin", patient.socket])
        #expect(around.contains { $0.hasPrefix("  ✓ listener      wss://127.0.0.1:") }, "\(around)")
        #expect(around.contains { $0.hasPrefix("  ✗ endpoint      ") }, "\(around)")
        #expect(around.contains { $0.hasPrefix("needs-attention: endpoint ") }, "\(around)")
        #expect(around.last?.hasPrefix("What to change: Start the app") == true, "\(around)")
        let walk = try lines([patient.proxy.url(), "--resolve", "localhost:127.0.0.1"])
        #expect(walk.first == patient.proxy.url())
        #expect(walk.contains { $0.hasPrefix("  ✓ TLS         TLSv1.3") && $0.hasSuffix(" ms)") })
        #expect(walk.contains { $0.hasPrefix("  ✗ certificate issued by ") }, "\(walk)")
        #expect(
            walk.contains { $0.hasPrefix("  ! Apart from that: A proxy can't talk") }, "\(walk)")
        #expect(walk.contains { $0.hasPrefix("untrusted-authority: ") }, "\(walk)")
    }

    @Test func `certificates are those of the folder in which the process stands`() throws {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let other = "\(folder)/other"
        try run(["mkdir", other])
        let program = try ProxyFixture.program()
        for place in [folder, other] { try run([program, "cert", "--directory", place]) }
        try Scratch.write(
            """
            listen:
              - address: "127.0.0.1:0"
                tls: { certificates: [{ chain: localhost.pem, key: localhost-key.pem }] }
            routes: [{ path: /*, respond: { status: 200 } }]
            admin: { socket: \(folder)/admin.sock }
            """, to: "\(folder)/sluice.yaml")
        let serving = try ChildProcess(
            ["env", "-C", folder, program, "run", "-c", "sluice.yaml"])
        defer { serving.signal(SIGKILL) }
        try serving.waitForLine(containing: "is ready")
        // A file of the same name lies where the doctor stands.
        func examine() throws -> Report {
            try Self.examine(
                ["--admin", "\(folder)/admin.sock"], home: folder,
                wrapper: ["env", "-C", other])
        }
        let sound = try examine()
        #expect(sound.verdict == "healthy", "\(sound)")
        #expect(
            sound.finding("certificate", "by the local authority")?.name == "localhost.pem",
            "\(sound)")
        // Without that beside it, nobody knows whose it is: the user's own has another name, or is not there.
        try run(["mv", "\(folder)/ca.pem", "\(folder)/away.pem"])
        let foreign = try examine()
        #expect(foreign.verdict == "healthy", "\(foreign)")
        #expect(
            foreign.finding("certificate", "by another authority of Sluice's") != nil, "\(foreign)")
        try run(["mv", "\(folder)/away.pem", "\(folder)/ca.pem"])
        // A problem is told with the folder's name, not with the kernel's link to it.
        let configuration = try Scratch.read("\(folder)/sluice.yaml")
        try Scratch.write(configuration + "\nnonsense: 1\n", to: "\(folder)/sluice.yaml")
        let broken = try examine()
        let name = URL(fileURLWithPath: folder).lastPathComponent
        #expect(broken.sentence.contains("/\(name)/sluice.yaml:6:1: "), "\(broken)")
        #expect(!broken.sentence.contains("/proc/"), "\(broken)")
        try Scratch.write(configuration, to: "\(folder)/sluice.yaml")
        // A listener with TLS stays one when its certificate can't be read any more.
        try run(["rm", "\(folder)/localhost.pem"])
        let lost = try examine()
        #expect(
            lost.finding("listener", "can't read its certificates")?.grade == "fault", "\(lost)")
    }

    @Test(arguments: [
        ("Origin: https://a.test", "--origin"), ("host: a.test", "--resolve"),
        ("Sec-WebSocket-Protocol: chat", "--subprotocol"), ("Content-Length: 3", "without a body"),
        ("A field: x", "'Name: value'"),
    ])
    func `a field that the walk sends itself is refused`(field: String, words: String) throws {
        let child = try ChildProcess([
            try ProxyFixture.program(), "doctor", "ws://127.0.0.1:1/", "--header", field,
        ])
        #expect(try child.waitForExit() == 64)
        #expect(child.errors.joined(separator: "\n").contains(words), "\(child.errors)")
    }

    @Test func `the options about a URL want one`() throws {
        let child = try ChildProcess([
            try ProxyFixture.program(), "doctor", "--origin", "https://a.test",
        ])
        #expect(try child.waitForExit() == 64)
        #expect(child.errors.joined().contains("The options are about a URL"))
    }
}
