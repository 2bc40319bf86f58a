// SPDX-License-Identifier: Apache-2.0
//
// Goal: a person sees in a browser what 500 live relays do, and with the token does something about it, by mouse and by
// keyboard, in light and dark, on a phone; another page sees and does nothing.
// Method: headless Chromium over the real program, with echo apps and clients of Python; axe-core looks at labels and
// contrast. `SLUICE_PICTURES=docs/pictures` has the pictures of the documents written there.

import Foundation
import TestKit
import Testing

@Suite(.serialized) struct DashboardTests {
    @Test func `the dashboard shows 500 live relays, and does what its buttons say`() throws {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let certificates = try TestCertificates.shared()
        for (name, path) in [
            ("chain.pem", certificates.local.chain), ("key.pem", certificates.local.key),
        ] {
            try FileManager.default.copyItem(atPath: path, toPath: "\(folder)/\(name)")
        }
        chmod("\(folder)/key.pem", 0o600)
        let pictures = ProcessInfo.processInfo.environment["SLUICE_PICTURES"].map {
            $0.hasPrefix("/") ? $0 : "\(Scratch.packageFolder)/\($0)"
        }
        let said = try PythonPeer.run(
            "dashboard.py",
            [
                try ProxyFixture.program(), folder, certificates.authority,
                try PythonPeer.axeScript(),
            ] + [pictures].compactMap(\.self), by: .after(.seconds(400)))
        #expect(said.last == "ok")
    }
}
