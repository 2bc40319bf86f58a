// SPDX-License-Identifier: Apache-2.0
import Admin
import Config
import Frontend
import Reactor
import TLS

/// What addresses beside the listeners may be.
extension Assembly {
    /// The admin interface listens for this machine alone, and can't where a listener does; where the kernel chooses the ports, they differ.
    static func checkAdmin(
        _ admin: AdminSettings, beside listeners: [ListenerPlan]
    ) throws(ConfigurationProblems) {
        try checkToken(admin)
        guard let text = admin.address else { return }
        guard let address = try? Address(parsing: text), address.isLoopback, !address.isUnix else {
            let meant = text.hasPrefix("localhost:") ? "127.0.0.1" + text.dropFirst(9) : nil
            throw ConfigurationProblems([
                ConfigurationProblem(
                    place: admin.addressPlace,
                    sentence:
                        "admin.address: found '\(text)', allowed: a loopback address with a port, as"
                        + " 127.0.0.1:9901: whoever reaches it may stop Sluice",
                    hint: meant.map { "did you mean '\($0)'?" })
            ])
        }
        try check(
            address, "admin.address: found '\(text)'", admin.addressPlace, beside: listeners)
    }

    /// A token that can't be used would let nobody change anything.
    private static func checkToken(_ admin: AdminSettings) throws(ConfigurationProblems) {
        guard let path = admin.token else { return }
        do throws(AdminToken.Fault) {
            _ = try AdminToken(path: path).read()
        } catch {
            throw problem(admin.tokenPlace, "admin.token: '\(path)': \(error.sentence)")
        }
    }

    /// What is not as it is probably meant with the token.
    static func tokenWarnings(_ admin: AdminSettings) -> [ConfigurationProblem] {
        guard let path = admin.token else { return [] }
        var sentences: [String] = []
        if CertificateFacts.isReadableByOthers(path) {
            sentences.append(
                "admin.token: others can read '\(path)', and whoever has the token may stop Sluice; chmod 600 it"
            )
        }
        if admin.address == nil {
            sentences.append(
                "admin.token is asked for at admin.address alone, which is not set")
        }
        return sentences.map { ConfigurationProblem(place: admin.tokenPlace, sentence: $0) }
    }

    /// Metrics may be read from anywhere, at an address that nobody else has.
    static func checkMetrics(
        _ metrics: MetricsSettings, _ admin: AdminSettings, beside listeners: [ListenerPlan]
    ) throws(ConfigurationProblems) {
        guard let text = metrics.address else { return }
        let start = "metrics.address: found '\(text)'"
        guard let address = try? Address(parsing: text), !address.isUnix else {
            throw problem(
                metrics.addressPlace,
                "\(start), allowed: an address with a port, as 127.0.0.1:9902 or :9902")
        }
        try check(address, start, metrics.addressPlace, beside: listeners)
        guard address.port != 0, let other = admin.address.flatMap({ try? Address(parsing: $0) }),
            other.standsInTheWay(of: address) || address.standsInTheWay(of: other)
        else { return }
        throw problem(
            metrics.addressPlace,
            "\(start), which admin.address takes, allowed: another port")
    }

    private static func check(
        _ address: Address, _ start: String, _ place: SourcePlace, beside listeners: [ListenerPlan]
    ) throws(ConfigurationProblems) {
        guard address.port != 0,
            let other = listeners.first(where: { $0.address.standsInTheWay(of: address) })?.address
        else { return }
        let what =
            other == address ? "is a listener's address" : "the listener at '\(other)' takes in"
        throw problem(place, "\(start), which \(what), allowed: another port")
    }
}
