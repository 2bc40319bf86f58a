// SPDX-License-Identifier: Apache-2.0
//
// Goal: what a command has to say and can't is an error, and what it writes goes where the path leads: links
// stay links, pipes stay pipes, and nothing that is no file is replaced.
// Method: the real program with standard output at /dev/full and at a pipe that was closed, and links, pipes,
// folders and devices behind --output.

import Foundation
import Glibc
import TestKit
import Testing

@Suite struct OutputTests {
    /// A home with an authority.
    private final class Place {
        let folder: String

        init() throws {
            folder = try Scratch.makeFolder()
            let made = try shell("\"$SLUICE\" cert")
            try #require(made.status == 0, "\(made)")
        }

        deinit { Scratch.remove(folder) }

        /// Runs a line of bash in the folder.
        func shell(_ line: String) throws -> (status: Int32, output: [String], errors: String) {
            let child = try ChildProcess(
                ["bash", "-c", "cd '\(folder)' || exit 99\n\(line)"],
                environment: [
                    "SLUICE": try ProxyFixture.program(), "HOME": folder, "TMPDIR": folder,
                    "XDG_DATA_HOME": "\(folder)/data", "XDG_RUNTIME_DIR": "",
                ])
            let status = try child.waitForExit(by: .after(.seconds(60)))
            return (status, child.output, child.errors.joined(separator: "\n"))
        }

        var authority: String { get throws { try Scratch.read("\(folder)/data/sluice/ca.pem") } }

        func kind(_ name: String) -> mode_t {
            var status = stat()
            return lstat("\(folder)/\(name)", &status) == 0 ? status.st_mode & S_IFMT : 0
        }
    }

    @Test func `a command that can't print exits with 74 and a sentence`() throws {
        let place = try Place()
        let configuration = """
            listen: [{ address: "127.0.0.1:0" }]
            routes: [{ path: /, respond: { status: 204 } }]

            """
        try Scratch.write(configuration, to: "\(place.folder)/c.yaml")
        for command in [
            "--help", "--version", "help drain", "schema", "check -c c.yaml", "cert", "cert list",
            "cert show localhost", "cert export", "cert export --output ca.pem", "cert renew",
        ] {
            let full = try place.shell("\"$SLUICE\" \(command) > /dev/full")
            #expect(full.status == 74, "\(command): \(full)")
            #expect(
                full.errors.contains(
                    "Error: What there was to print could not be written to standard output (No space"
                        + " left on device): make room there."), "\(command): \(full)")
            let closed = try place.shell("\"$SLUICE\" \(command) >&-")
            #expect(closed.status == 74, "\(command): \(closed)")
        }
        // What a verdict says counts more, and is told beside it.
        let verdict = try place.shell("\"$SLUICE\" doctor > /dev/full")
        #expect(
            verdict.status == 70 && verdict.errors.contains("could not be written"), "\(verdict)")
    }

    @Test func `a reader that has seen enough is no error`() throws {
        let place = try Place()
        let configuration = """
            listen: [{ address: "127.0.0.1:0" }]
            routes: [{ path: /, respond: { status: 204 } }]

            """
        try Scratch.write(configuration, to: "\(place.folder)/c.yaml")
        for (command, code) in [
            ("schema", 0), ("--help", 0), ("check c.yaml", 0), ("cert list", 0), ("doctor", 70),
        ] {
            for ignores in ["", "trap '' PIPE; "] {
                // The reader is gone before anything is written.
                let line = """
                    \(ignores)mkfifo p; sleep 600 < p & exec 3> p; kill $!; wait $!; rm p
                    "$SLUICE" \(command) >&3; echo "$?" >&2
                    """
                let said = try place.shell(line)
                #expect(said.errors.hasSuffix("\(code)"), "\(command): \(said)")
            }
        }
    }

    @Test func `a command that can't say what is wrong ends with its own code`() throws {
        let place = try Place()
        for (command, code) in [
            ("chekc", 64), ("help nosuch", 64), ("status --nope", 64), ("check nofile.yaml", 1),
            ("run nofile.yaml", 1), ("status --admin /nope", 70), ("drain --admin /nope", 70),
            ("cert list --directory nodir", 1), ("cert export > /dev/null", 0),
        ] {
            for redirection in ["2>&-", "2> /dev/full"] {
                let said = try place.shell("\"$SLUICE\" \(command) \(redirection)")
                #expect(said.status == Int32(code), "\(command) \(redirection): \(said)")
            }
        }
        // Nobody reads either of them.
        let both = try place.shell("\"$SLUICE\" schema > /dev/full 2>&1")
        #expect(both.status == 74, "\(both)")
    }

    @Test func `a server that can't print says so once and serves`() throws {
        let child = try ChildProcess([
            "bash", "-c", "exec \"$1\" echo 0 > /dev/full", "bash", try ProxyFixture.program(),
        ])
        let said = try child.waitForLine(containing: "Standard output can't be written")
        #expect(said[0].contains("Sluice serves"), "\(said)")
        #expect(!child.hasEnded)
        child.signal(SIGTERM)
        #expect(try child.waitForExit() == 0)
        #expect(child.errors.count == 1, "\(child.errors)")
    }

    @Test func `nothing of a server gets the number of a standard output that is closed`() throws {
        let child = try ChildProcess([
            "bash", "-c", "exec \"$1\" echo 0 >&-", "bash", try ProxyFixture.program(),
        ])
        try child.waitForLine(containing: "Standard output can't be written (Bad file descriptor)")
        let target = try FileManager.default.destinationOfSymbolicLink(
            atPath: "/proc/\(child.identifier)/fd/1")
        #expect(target == "/dev/null")
        child.signal(SIGTERM)
        #expect(try child.waitForExit() == 0)
    }

    @Test func `an export follows links to their end and keeps the mode of what is there`() throws {
        let place = try Place()
        let before = "mkdir d; ln -s d/b a; ln -s ../c d/b; touch c; chmod 640 c; "
        let first = try place.shell(before + "\"$SLUICE\" cert export --output a")
        #expect(first.status == 0, "\(first)")
        #expect(place.kind("a") == S_IFLNK && place.kind("d/b") == S_IFLNK)
        #expect(try Scratch.read("\(place.folder)/c") == place.authority)
        #expect(try place.shell("stat -c %a c").output == ["640"])
        // A link to what is not there yet.
        let second = try place.shell("rm c; umask 027; \"$SLUICE\" cert export --output a")
        #expect(second.status == 0, "\(second)")
        #expect(place.kind("a") == S_IFLNK && place.kind("c") == S_IFREG)
        #expect(try place.shell("stat -c %a c").output == ["640"])
        let circle = try place.shell("ln -s e e; \"$SLUICE\" cert export --output e")
        #expect(circle.status == 1 && circle.errors.contains("e: it can't be written"), "\(circle)")
        let left = try place.shell("ls | grep -c '[.]new$'")
        #expect(left.output == ["0"])
    }

    @Test func `an export goes through pipes and descriptors, and leaves them`() throws {
        let place = try Place()
        let authority = try place.authority
        let pipe = try place.shell(
            "mkfifo p; cat p > got & \"$SLUICE\" cert export --output p > /dev/null; code=$?; wait; exit $code"
        )
        #expect(pipe.status == 0, "\(pipe)")
        #expect(place.kind("p") == S_IFIFO)
        #expect(try Scratch.read("\(place.folder)/got") == authority)
        // The shell waits for no substitution: its reader says when it is done.
        let substituted = try place.shell(
            "mkfifo done; \"$SLUICE\" cert export --output >(cat > sub; echo > done) > /dev/null && read -r < done"
        )
        #expect(substituted.status == 0, "\(substituted)")
        #expect(try Scratch.read("\(place.folder)/sub") == authority)
        for line in [
            "\"$SLUICE\" cert export --output /dev/fd/1",
            "\"$SLUICE\" cert export --output /proc/self/fd/1 | cat",
            "ln -s /dev/fd/1 o; \"$SLUICE\" cert export --output o > out; code=$?; cat out; exit $code",
        ] {
            let said = try place.shell(line)
            #expect(said.status == 0, "\(said)")
            #expect(said.output.map { $0 + "\n" }.joined() == authority, "\(line): \(said)")
            #expect(said.errors.contains("With the file there"), "\(line)")
        }
    }

    @Test func `an export goes into a device, which stays one`() throws {
        let place = try Place()
        // Root could replace the machine's own, so it gets one of its own; nobody else can.
        let isRoot = geteuid() == 0
        if isRoot, try place.shell("mknod null c 1 3 && : > null").status != 0 { return }
        let device = isRoot ? "\(place.folder)/null" : "/dev/null"
        let said = try place.shell("\"$SLUICE\" cert export --output \(device)")
        #expect(said.status == 0, "\(said)")
        #expect(said.output.first?.hasPrefix("\(device) written") == true, "\(said)")
        var status = stat()
        #expect(stat(device, &status) == 0 && status.st_mode & S_IFMT == S_IFCHR)
    }

    @Test func `what takes no certificate is refused and stays`() throws {
        let place = try Place()
        let held = try place.shell(
            """
            mkdir d; mkfifo p
            python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("s")'
            """)
        #expect(held.status == 0, "\(held)")
        for (name, words) in [
            ("d", "it is a folder"), ("s", "it is a socket"),
            ("p", "it is a pipe that nobody reads"),
        ] {
            let kind = place.kind(name)
            let said = try place.shell("\"$SLUICE\" cert export --output \(name)")
            #expect(said.status == 1, "\(name): \(said)")
            #expect(said.errors.contains(words), "\(name): \(said)")
            #expect(place.kind(name) == kind)
        }
    }
}
