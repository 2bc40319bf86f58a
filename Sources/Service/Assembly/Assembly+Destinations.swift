// SPDX-License-Identifier: Apache-2.0
import Config
import Frontend
import Ledger
import TLS

/// What TLS is spoken in with endpoints, by how they are verified.
typealias DestinationContexts = [TLSDestinationOptions: TLSContext]

/// Endpoints that speak TLS: from their settings to what they are verified by.
extension Assembly {
    /// By what each endpoint is verified; nil for one that speaks no TLS, and empty where none does.
    static func destinations(
        of upstream: String, _ settings: UpstreamTLSSettings, _ taken: TakenEndpoints,
        _ known: inout KnownEndpoints
    ) throws -> [TLSDestination?] {
        guard taken.hosts.contains(where: { $0 != nil }) else { return [] }
        let context = try context(upstream, settings, &known)
        return zip(taken.endpoints, taken.hosts).map { endpoint, host in
            guard let host else { return nil }
            let serverName = settings.serverName ?? host
            return known.destination(of: endpoint, in: upstream, serverName: serverName)
                ?? TLSDestination(context, serverName: serverName)
        }
    }

    private static func context(
        _ upstream: String, _ settings: UpstreamTLSSettings, _ known: inout KnownEndpoints
    ) throws -> TLSContext {
        var options = TLSDestinationOptions()
        options.authorities = [settings.authorities].compactMap(\.self) + settings.moreAuthorities
        options.trustsSystem = settings.authorities == nil
        options.identity = settings.certificate.map {
            IdentityFiles(chain: $0.chain, key: $0.key)
        }
        options.minimumVersion = settings.minimumVersion == .tls13 ? .tls13 : .tls12
        options.isVerifying = settings.isVerifying
        if let context = known.contexts[options] { return context }
        do throws(TLSError) {
            let context = try TLSContext.destinations(options)
            known.contexts[options] = context
            return context
        } catch {
            throw ConfigurationProblems(problems(error, upstream, settings))
        }
    }

    private static func problems(
        _ error: TLSError, _ upstream: String, _ settings: UpstreamTLSSettings
    ) -> [ConfigurationProblem] {
        let key = "upstreams.\(upstream).tls"
        let authorities = ConfigurationProblem(
            place: settings.authoritiesPlace, sentence: "\(key).ca: \(error)")
        if error.problems.isEmpty { return [authorities] }
        return error.problems.map { problem in
            guard let certificate = settings.certificate,
                problem.file == certificate.chain || problem.file == certificate.key
            else {
                return ConfigurationProblem(
                    place: settings.authoritiesPlace, sentence: "\(key).ca: \(problem)")
            }
            return ConfigurationProblem(
                place: certificate.place, sentence: "\(key).certificate: \(problem)")
        }
    }

    /// Upstreams whose certificates nobody looks at.
    static func unverifiedUpstreams(_ configuration: Configuration) -> [ConfigurationProblem] {
        configuration.upstreams.sorted { $0.key < $1.key }.compactMap { name, upstream in
            guard !upstream.tls.isVerifying else { return nil }
            return ConfigurationProblem(
                place: upstream.tls.place,
                sentence:
                    "upstreams.\(name).tls.verify: false takes any certificate, so whoever is on the way to"
                    + " the endpoints can read and change what passes. Name their authority's file as"
                    + " upstreams.\(name).tls.ca instead")
        }
    }
}
