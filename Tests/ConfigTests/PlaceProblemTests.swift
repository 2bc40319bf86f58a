// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Config

/// Where lines go and whom names are asked: the exact line for every kind of problem.
struct PlaceProblemTests {
    @Test(arguments: [
        (
            "log: { events: off }",
            "3:16: log.events: found 'off', allowed: stdout, stderr, journald or a path with a '/'"
        ),
        (
            "log: { access: journal }",
            "3:16: log.access: found 'journal', allowed: stdout, stderr, journald, off or a path with a '/' (did you mean 'journald'?)"
        ),
        (
            "resolver: { servers: [ns.example.com] }",
            "3:23: resolver.servers[0]: found 'ns.example.com', allowed: an address, as 127.0.0.1, 127.0.0.1:53 or [::1]:53"
        ),
        (
            "resolver: { servers: [\"192.0.2.1:0\"] }",
            "3:23: resolver.servers[0]: found '192.0.2.1:0', allowed: an address, as 127.0.0.1, 127.0.0.1:53 or [::1]:53"
        ),
        (
            "resolver: { servers: [] }",
            "3:22: resolver.servers: found an empty list, allowed: one or more addresses of DNS servers, as 127.0.0.1:53"
        ),
    ])
    func `places`(yaml: String, line: String) {
        #expect(problems(of: smallest + yaml) == ["sluice.yaml:\(line)"])
    }
}
