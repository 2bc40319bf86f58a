// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

@testable import Config
@testable import Service

/// Every number that a configuration can hold, with the extremes of every type: it is taken or refused
/// with a sentence, and what is made of it does not trap.
struct ExtremeNumbersTests {
    private static let numbers = [
        "0", "1", "-1", "65535", "65536", "2147483647", "2147483648", "4294967295", "4294967296",
        "9223372036854775807", "9223372036854775808", "-9223372036854775808",
        "18446744073709551615", "18446744073709551616", "0.5", "1e3", "1e308", "-1e308", ".inf",
        ".nan",
        "NaN", "0x10", "0o7", "1_000", "+1", "~", "[]", "{}", String(repeating: "9", count: 400),
    ]
    private static let units = [
        "ms", "s", "m", "h", "d", "B", "KiB", "MiB", "GiB", "kB", "MB", "GB", " s",
    ]

    /// Where the keys of each section with numbers stand in a file.
    private static let places: [String: String] = [
        "Top level": "KEYS",
        "listen[].tls": "listen: [{ address: \"127.0.0.1:0\", tls: { CERTIFICATES, KEYS } }]",
        "listen[].tls.hsts":
            "listen: [{ address: \"127.0.0.1:0\", tls: { CERTIFICATES, hsts: { KEYS } } }]",
        "listen[].http2":
            "listen: [{ address: \"127.0.0.1:0\", tls: { CERTIFICATES }, http2: { KEYS } }]",
        "routes[]": "routes: [{ path: /, to: app, KEYS }]",
        "routes[].ping": "routes: [{ path: /, to: app, ping: { KEYS } }]",
        "routes[].respond": "routes: [{ path: /, respond: { KEYS } }]",
        "routes[].redirect": "routes: [{ path: /, redirect: { to: /x, KEYS } }]",
        "routes[].limits": "routes: [{ path: /, to: app, limits: { KEYS } }]",
        "routes[].faults":
            "routes: [{ path: /, to: app, faults: { cut: 1%, KEYS } }]\nallowFaults: true",
        "upstreams.NAME": "upstreams: { app: { endpoints: [\"ws://127.0.0.1:1\"], KEYS } }",
        "routes[].timeouts": "routes: [{ path: /, to: app, timeouts: { KEYS } }]",
        "routes[].forwarded": "routes: [{ path: /, to: app, forwarded: { KEYS } }]",
        "routes[].access.jwt":
            "routes: [{ path: /, to: app, access: { jwt: { keys: \"https://127.0.0.1:1/keys\", KEYS } } }]",
        "routes[].access.forward":
            "routes: [{ path: /, to: app, access: { forward: { to: \"http://127.0.0.1:1\", KEYS } } }]",
        "routes[].access.jwt.endsWithToken":
            "routes: [{ path: /, to: app, access: { jwt: { keys: \"https://127.0.0.1:1/keys\", endsWithToken: { KEYS } } } }]",
        "upstreams.NAME.endpoints[]":
            "upstreams: { app: { endpoints: [{ url: \"ws://127.0.0.1:1\", KEYS }] } }",
        "upstreams.NAME.sticky":
            "upstreams: { app: { endpoints: [\"ws://127.0.0.1:1\"], sticky: { KEYS } } }",
        "upstreams.NAME.health":
            "upstreams: { app: { endpoints: [\"ws://127.0.0.1:1\"], health: { path: /, KEYS } } }",
        "upstreams.NAME.queue":
            "upstreams: { app: { endpoints: [\"ws://127.0.0.1:1\"], maxConnections: 1, queue: { KEYS } } }",
        "upstreams.NAME.pool":
            "upstreams: { app: { endpoints: [\"ws://127.0.0.1:1\"], pool: { KEYS } } }",
        "traces": "traces: { endpoint: \"http://127.0.0.1:1\", KEYS }",
        "drain": "drain: { KEYS }", "timeouts": "timeouts: { KEYS }", "limits": "limits: { KEYS }",
    ]
    /// What stands there when the section is another.
    private static let rest = [
        "listen": "listen: [{ address: \"127.0.0.1:0\" }]",
        "routes": "routes: [{ path: /, to: app }]",
        "upstreams": "upstreams: { app: { endpoints: [\"ws://127.0.0.1:1\"] } }",
    ]

    private static func isNumber(_ type: SettingType) -> Bool {
        switch type {
        case .number, .duration, .size: true
        case .either(let types): types.contains(where: isNumber)
        default: false
        }
    }

    private static func takesUnits(_ type: SettingType) -> Bool {
        switch type {
        case .duration, .size: true
        case .either(let types): types.contains(where: takesUnits)
        default: false
        }
    }

    private static func file(_ section: String, _ key: String, _ value: String) throws -> String {
        let place = try #require(places[section], "no place for the numbers of \(section)")
        let line = place.replacingOccurrences(of: "KEYS", with: "\(key): \(value)")
            .replacingOccurrences(
                of: "CERTIFICATES", with: "certificates: [{ chain: /nowhere, key: /nowhere }]")
        let others = rest.filter { !line.hasPrefix($0.key) }.values.sorted()
        return (others + [line]).joined(separator: "\n") + "\n"
    }

    @Test func `no number of a configuration traps, and what is refused is told with its key`()
        throws
    {
        var taken = 0
        var refused = 0
        for section in KeySection.all {
            for key in section.keys where Self.isNumber(key.type) {
                for number in Self.numbers {
                    let isScalar = !["[]", "{}"].contains(number)
                    for unit in [""]
                        + (!isScalar ? [] : Self.takesUnits(key.type) ? Self.units : ["s"])
                    {
                        let yaml = try Self.file(section.title, key.name, number + unit)
                        do {
                            let configuration = try Configuration.load(yaml: yaml, file: "s.yaml")
                            _ = try Assembly(configuration)
                            taken += 1
                        } catch {
                            let said = "\(error)"
                            // Where the number was taken, the certificate's file is missed.
                            #expect(
                                said.contains(key.name) || said.contains("/nowhere"),
                                "\(yaml)\n\(said)")
                            refused += 1
                        }
                    }
                }
            }
        }
        #expect(taken > 50 && refused > 5_000, "\(taken) \(refused)")
    }
}
