// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import Reactor
import Testing

@testable import sluice

/// Where a running Sluice is found, and how people name what it serves.
struct AdminSocketTests {
    /// A folder of the test's own, with one in it for each kind of place.
    private struct Folders {
        let root: String
        var runtime: String { root + "/runtime" }
        var service: String { root + "/service" }
        var user: String { root + "/user" }

        init(making names: [String]) throws {
            root = NSTemporaryDirectory() + "/admin-\(UUID().uuidString)"
            for name in names {
                try FileManager.default.createDirectory(
                    atPath: "\(root)/\(name)", withIntermediateDirectories: true)
            }
        }

        func remove() { try? FileManager.default.removeItem(atPath: root) }
    }

    @Test(arguments: [
        (["runtime", "service"], "/runtime/sluice.sock"), (["service"], "/service/sluice.sock"),
    ])
    func `a folder for sockets that is there comes first`(
        there: [String], place: String
    ) throws {
        let folders = try Folders(making: there)
        defer { folders.remove() }
        #expect(
            AdminSocket.makePlace(
                runtimeFolder: folders.runtime, serviceFolder: folders.service,
                userFolder: folders.user) == folders.root + place)
        #expect(!FileManager.default.fileExists(atPath: folders.user))
    }

    @Test func `where neither is there, a folder of the user's own is made`() throws {
        let folders = try Folders(making: ["other"])
        defer { folders.remove() }
        for _ in 1...2 {
            #expect(
                AdminSocket.makePlace(
                    runtimeFolder: nil, serviceFolder: folders.service, userFolder: folders.user)
                    == folders.user + "/sluice.sock")
        }
        var facts = stat()
        #expect(stat(folders.user, &facts) == 0 && facts.st_mode & 0o777 == 0o700)
        #expect(
            AdminSocket.places(
                runtimeFolder: nil, serviceFolder: folders.service, userFolder: folders.user)
                == [folders.service + "/sluice.sock", folders.user + "/sluice.sock"])
    }

    @Test func `a folder that others can write to, or a link to one, is not used`() throws {
        let folders = try Folders(making: ["user", "target"])
        defer { folders.remove() }
        chmod(folders.user, 0o777)
        let link = folders.root + "/link"
        symlink(folders.root + "/target", link)
        for folder in [folders.user, link] {
            #expect(
                AdminSocket.makePlace(
                    runtimeFolder: nil, serviceFolder: folders.service, userFolder: folder) == nil)
            #expect(
                AdminSocket.places(
                    runtimeFolder: nil, serviceFolder: folders.service, userFolder: folder)
                    == [folders.service + "/sluice.sock"])
        }
    }

    @Test func `sockets of processes that are gone are removed, others stay`() throws {
        let folders = try Folders(making: ["user"])
        defer { folders.remove() }
        let live = "\(folders.user)/sluice-\(getpid()).sock"
        // Beyond what the kernel gives to any process (proc(5), pid_max).
        let dead = "\(folders.user)/sluice-4194305.sock"
        for file in [live, dead, "\(folders.user)/sluice-x.sock"] {
            #expect(FileManager.default.createFile(atPath: file, contents: nil))
        }
        AdminSocket.removeDead(beside: folders.user + "/sluice.sock")
        #expect(
            AdminSocket.others(beside: [folders.user + "/sluice.sock"])
                == [live, "\(folders.user)/sluice-x.sock"])
    }

    @Test(arguments: [
        ("9901", "127.0.0.1:9901"), ("127.0.0.1:9901", "127.0.0.1:9901"), ("[::1]:99", "[::1]:99"),
        ("admin.sock", "unix:admin.sock"), ("./a", "unix:./a"), ("unix:/run/a", "unix:/run/a"),
    ])
    func `the admin option takes a port, an address or a file`(
        text: String, address: String
    ) throws {
        #expect(try AdminOptions.address(named: text).description == address)
    }

    @Test func `what is neither is told both`() throws {
        let error = #expect(throws: Complaint.self) { try AdminOptions.address(named: "nonsense") }
        #expect(error?.description.contains("found nonsense") == true)
    }

    // MARK: Names

    private let names = ServedNames(
        routes: ["/*", "*.example.com/chat/*"],
        endpoints: ["unix:/run/a.sock", "ws://127.0.0.1:9000", "ws://[::1]:9000"])

    @Test(arguments: [
        ("ws://127.0.0.1:9000", "ws://127.0.0.1:9000"), ("127.0.0.1:9000", "ws://127.0.0.1:9000"),
        ("[::1]:9000", "ws://[::1]:9000"), ("unix:/run/a.sock", "unix:/run/a.sock"),
        ("127.0.0.1:900", nil), ("ws://", nil), ("", nil),
    ])
    func `an endpoint is named with or without its scheme`(wanted: String, label: String?) {
        #expect(names.endpoint(wanted) == label)
    }

    @Test(arguments: [
        ("127.0.0.1", "127.0.0.1"), ("127.0.0.1:4711", "127.0.0.1"), ("::1", "::1"),
        ("[::1]:4711", "::1"), ("2001:DB8:0::7", "2001:db8::7"), ("localhost", nil), ("", nil),
        (":80", nil), ("unix:/a", nil), ("300.1.1.1", nil),
    ])
    func `a client is named by its address, with or without a port`(
        wanted: String, host: String?
    ) {
        #expect(ServedNames.client(wanted) == host)
    }

    @Test func `what is not there is told what is`() {
        #expect(
            names.noRoute("/x") == "There is no route /x; there are /*, *.example.com/chat/*.")
        #expect(
            ServedNames(routes: ["/*"], endpoints: []).noRoute("/x")
                == "There is no route /x; there is /*.")
        #expect(
            ServedNames(routes: [], endpoints: []).noEndpoint("a:1")
                == "There is no endpoint a:1; there are no endpoints.")
        let many = ServedNames(routes: (1...10).map { "/\($0)" }, endpoints: [])
        #expect(many.noRoute("/x").hasSuffix("/8 and 2 more."))
    }
}
