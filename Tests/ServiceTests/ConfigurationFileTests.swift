// SPDX-License-Identifier: Apache-2.0
import Config
import Foundation
import Service
import Testing

/// Goal: a configuration's file is read, and one that can't be is named with the reason.
struct ConfigurationFileTests {
    private func problems(_ path: String) -> [String] {
        do throws(ConfigurationProblems) {
            _ = try Configuration.load(path: path)
            return []
        } catch {
            return error.problems.map(\.description)
        }
    }

    @Test func `a file that is not there is named`() {
        #expect(
            problems("/nowhere/s.yaml") == [
                "/nowhere/s.yaml: there is no such file; correct the path"
            ])
    }

    @Test func `a file that is no text is refused, and one that is fine is read`() throws {
        let folder = FileManager.default.temporaryDirectory
        let path = folder.appendingPathComponent("sluice-\(UInt64.random(in: 0 ... .max)).yaml")
            .path
        defer { try? FileManager.default.removeItem(atPath: path) }
        try Data([0x61, 0xFF]).write(to: URL(fileURLWithPath: path))
        #expect(
            problems(path) == [
                "\(path): this is no text in UTF-8: save it as UTF-8, or convert it (iconv -f latin1"
                    + " -t UTF-8)"
            ])
        let smallest = """
            listen: [{ address: "127.0.0.1:0" }]
            routes: [{ path: /a, to: "ws://127.0.0.1:1" }]

            """
        try Data(smallest.utf8).write(to: URL(fileURLWithPath: path))
        #expect(problems(path) == [])
        let routes = """
            listen: [{ address: "127.0.0.1:0" }]
            routes:
              - { path: /a, to: "ws://127.0.0.1:1", nonsense: 1 }
              - { path: /%61, to: "ws://127.0.0.1:1" }
              - { path: b, to: "ws://127.0.0.1:1" }
              - { host: "*", path: /a, to: nobody }
            workers: many

            """
        try Data(routes.utf8).write(to: URL(fileURLWithPath: path))
        let found = problems(path)
        #expect(found.count == 6, "\(found)")
        for (index, words) in [
            ":3:41: routes[0]: unknown key",
            ":4:5: this route is never reached: the route at"
                + " \(path):3:5 has the same host", ":5:13: ", ":6:", ":6:", ":7:10: workers",
        ].enumerated() where index < found.count {
            #expect(found[index].contains(words), "\(words): \(found[index])")
        }
        #expect(
            problems(folder.path).first?.contains("it can't be read: it is a directory") == true)
    }
}
