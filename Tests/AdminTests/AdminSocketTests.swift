// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import Reactor
import Testing

@testable import Admin

/// Where a running Sluice is found.
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

    @Test func `where none is named, the own place and that of the service are meant`() throws {
        let folders = try Folders(making: ["runtime", "user"])
        defer { folders.remove() }
        func usual(_ runtime: String?) -> [String] {
            AdminSocket.usualPlaces(
                runtimeFolder: runtime, serviceFolder: folders.service, userFolder: folders.user)
        }
        let service = folders.service + "/sluice.sock"
        #expect(usual(folders.runtime) == [folders.runtime + "/sluice.sock", service])
        // A folder that is not there, or not for this user, is nobody's place.
        for runtime in [nil, folders.root + "/gone", "relative"] {
            #expect(usual(runtime) == [folders.user + "/sluice.sock", service])
        }
        try FileManager.default.createDirectory(
            atPath: folders.service, withIntermediateDirectories: true)
        #expect(usual(nil) == [service])
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

    @Test func `a socket may have the longest path that there is`() throws {
        let folders = try Folders(making: ["user"])
        defer { folders.remove() }
        let rest = 107 - folders.user.utf8.count - 1
        try #require(rest > 10)
        let name = String(repeating: "a", count: rest)
        let address = try Address(parsing: "unix:\(folders.user)/\(name)")
        let server = try AdminServer(address: address) { _ in AdminAnswer(text: "well") }
        #expect(try FileManager.default.contentsOfDirectory(atPath: folders.user) == [name])
        try server.start()
        let reply = try AdminClient(address).send("GET", "/")
        #expect(reply.status == 200 && reply.isOfSluice)
        #expect(String(decoding: reply.body, as: UTF8.self) == "well\n")
        server.stop()
        #expect(try FileManager.default.contentsOfDirectory(atPath: folders.user) == [])
    }

    @Test func `sockets of processes that are gone are removed, others stay`() throws {
        let folders = try Folders(making: ["user"])
        defer { folders.remove() }
        let live = "\(folders.user)/sluice-\(getpid()).sock"
        // Beyond what the kernel gives to any process (proc(5), pid_max).
        let dead = "\(folders.user)/sluice-4194305.sock"
        let noSocket = "\(folders.user)/sluice-4194306.sock"
        for file in [live, noSocket, "\(folders.user)/sluice-x.sock"] {
            #expect(FileManager.default.createFile(atPath: file, contents: nil))
        }
        do { _ = try Listener(address: try Address(parsing: "unix:" + dead)) }
        #expect(FileManager.default.fileExists(atPath: dead))
        // After an upgrade the successor serves under the number of the process that is gone.
        let served = "\(folders.user)/sluice-4194307.sock"
        let successor = try Listener(address: try Address(parsing: "unix:" + served))
        AdminSocket.removeDead(beside: folders.user + "/sluice.sock")
        #expect(
            AdminSocket.others(beside: [folders.user + "/sluice.sock"])
                == [live, noSocket, served, "\(folders.user)/sluice-x.sock"].sorted())
        #expect(successor.address.isUnix)
    }
}
