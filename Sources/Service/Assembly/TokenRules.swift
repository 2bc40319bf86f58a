// SPDX-License-Identifier: Apache-2.0
import Access
import Config
import Frontend
import Issuers
import Reactor
import Wire

/// The rules by which a configuration has tokens judged, and the keys that they go by.
struct TokenRules: Sendable {
    /// How long keys that were never there are waited for, at the start and in a reload.
    static let firstTryMilliseconds: UInt64 = 2_000

    /// By what they say, wherever it was written: routes that say the same share what is known of tokens.
    private var rules: [TokenSettings: TokenRule] = [:]
    private var rings: [TokenKeyring.Origin: TokenKeyring] = [:]

    /// All keys.
    var keyrings: [TokenKeyring] { Array(rings.values) }

    /// Those that are fetched, by their URLs without a query; those that differ in that alone get a number.
    var fetched: [(name: String, keyring: TokenKeyring)] {
        var byURL: [String: TokenKeyring] = [:]
        for ring in rings.values {
            if case .url(let url, _) = ring.origin { byURL[url] = ring }
        }
        var counts: [String: Int] = [:]
        return byURL.sorted { $0.key < $1.key }.map { _, ring in
            let name = ring.origin.name
            let count = counts[name, default: 0] + 1
            counts[name] = count
            return (count == 1 ? name : "\(name) (\(count))", ring)
        }
    }

    /// Makes the rules; what stays as it was keeps what it knows.
    ///
    /// - Throws: `ConfigurationProblems`, with those of all files.
    init(_ configuration: Configuration, previous: TokenRules?) throws(ConfigurationProblems) {
        var problems: [ConfigurationProblem] = []
        // Each file is read once, so that all routes that name it have the same.
        var found: [TokenKeySource: TokenKeyring] = [:]
        var failed: Set<TokenKeySource> = []
        for route in configuration.routes {
            guard let access = route.access else { continue }
            problems += Assembly.fieldClashes(access, route)
            guard let settings = access.token else { continue }
            problems += Self.clashes(settings, access)
            let source = TokenKeySource(settings)
            if found[source] == nil, failed.insert(source).inserted {
                do throws(ConfigurationProblems) {
                    let ring = try Self.keyring(settings, previous: previous)
                    found[source] = ring
                    rings[ring.origin] = ring
                } catch {
                    problems += error.problems
                }
            }
            guard let ring = found[source] else { continue }
            let name = settings.withoutPlaces
            if rules[name] != nil { continue }
            if let known = previous?.rules[name], known.keyring === ring {
                rules[name] = known
            } else {
                rules[name] = TokenRule(settings.demands, keyring: ring)
            }
        }
        guard problems.isEmpty else { throw ConfigurationProblems(sorting: problems) }
    }

    /// What requests of a route are judged by.
    func access(_ settings: TokenSettings) -> TokenAccess {
        guard let rule = rules[settings.withoutPlaces] else {
            preconditionFailure("a rule of tokens was not made")
        }
        return TokenAccess(
            rule: rule, places: settings.from.map(\.place),
            end: settings.end.map {
                TokenAccess.End(
                    code: $0.code, beforeMilliseconds: $0.before.wholeMilliseconds)
            })
    }

    private static func keyring(
        _ settings: TokenSettings, previous: TokenRules?
    ) throws(ConfigurationProblems) -> TokenKeyring {
        switch settings.keys {
        case .url(let url):
            if let problem = KeyWatch.problem() {
                throw Assembly.problem(settings.keysPlace, "access.jwt.keys: \(problem)")
            }
            var authorities: TokenKeyring.Authorities?
            if let path = settings.authorities {
                authorities = TokenKeyring.Authorities(
                    path: path,
                    content: try read(path, "access.jwt.ca", settings.authoritiesPlace))
            }
            let origin = TokenKeyring.Origin.url(url, authorities: authorities)
            return previous?.rings[origin] ?? TokenKeyring(origin)
        case .file(let path):
            let origin = TokenKeyring.Origin.file(path)
            let bytes = try read(path, "access.jwt.keys", settings.keysPlace)
            do throws(TokenKeys.Fault) {
                let keys = try TokenKeys(bytes, from: .file)
                if let known = previous?.rings[origin], known.keys?.isSame(as: keys) == true {
                    return known
                }
                return TokenKeyring(origin, keys: keys)
            } catch {
                throw Assembly.problem(
                    settings.keysPlace, "access.jwt.keys: '\(path)': \(error.clause)")
            }
        }
    }

    private static func read(
        _ path: String, _ key: String, _ place: SourcePlace
    ) throws(ConfigurationProblems) -> [UInt8] {
        do throws(WholeFile.Refusal) {
            return try WholeFile.read(path)
        } catch {
            throw Assembly.problem(place, "\(key): '\(path)': \(error.sentence); \(error.remedy)")
        }
    }

    /// What does not go together with other rules of its route.
    private static func clashes(
        _ settings: TokenSettings, _ access: AccessSettings
    ) -> [ConfigurationProblem] {
        guard access.basic != nil, settings.from == [.header] else { return [] }
        return [
            ConfigurationProblem(
                place: settings.keysPlace,
                sentence:
                    "access.jwt.from: found 'header' alone beside 'basic', and a request has one"
                    + " Authorization field, allowed: another place for the token")
        ]
    }
}

/// Where a configuration says that keys are.
private struct TokenKeySource: Hashable {
    let keys: TokenSettings.Keys
    let authorities: String?

    init(_ settings: TokenSettings) {
        keys = settings.keys
        authorities = settings.authorities
    }
}

extension Assembly {
    /// Has the app be told claims by fields, which a client can't set.
    static func tell(_ settings: TokenSettings, to fields: inout FieldEdits) {
        for (index, told) in settings.forward.enumerated() {
            fields.set.append(
                FieldEdits.Field(name: told.field, value: [.told(.claim(index))]))
        }
    }

    /// Fields that two keys of a route would write, so that the app would find two of them and might take either.
    ///
    /// Names are the same where an app may take them for the same: in whatever case, and with `_` or `.` for `-`.
    static func fieldClashes(
        _ access: AccessSettings, _ route: RouteSettings
    ) -> [ConfigurationProblem] {
        let written = FieldNames((route.request.set + route.request.add).map(\.name))
        let granted = FieldNames(access.forward?.fields ?? [])
        var problems: [ConfigurationProblem] = []
        func clash(_ key: String, _ name: String, with other: String, _ place: SourcePlace) {
            problems.append(
                ConfigurationProblem(
                    place: place,
                    sentence:
                        "\(key): found '\(name)', which '\(other)' writes too, allowed: another name"
                        + " in one of the two"))
        }
        if let token = access.token {
            for told in token.forward {
                if written.contains(told.field) {
                    clash("access.jwt.forward", told.field, with: "request", token.forwardPlace)
                }
                if granted.contains(told.field) {
                    clash(
                        "access.jwt.forward", told.field, with: "access.forward.fields",
                        token.forwardPlace)
                }
            }
        }
        if let forward = access.forward {
            for name in forward.fields where written.contains(name) {
                clash("access.forward.fields", name, with: "request", forward.place)
            }
        }
        if let certificate = access.clientCertificate, certificate.tell != .nothing {
            let told = FieldNames(access.token?.forward.map(\.field) ?? [])
            let others = [
                ("request", written), ("access.jwt.forward", told),
                ("access.forward.fields", granted),
            ]
            for name in ["Client-Cert"] + (certificate.tell == .chain ? ["Client-Cert-Chain"] : [])
            {
                for (other, names) in others where names.contains(name) {
                    clash("access.clientCertificate.tell", name, with: other, certificate.place)
                }
            }
        }
        return problems
    }

    /// Routes that let anybody in who has a token of an issuer for whatever it was.
    static func audienceWarnings(_ configuration: Configuration) -> [ConfigurationProblem] {
        configuration.routes.compactMap { route in
            guard let settings = route.access?.token, settings.file == nil,
                settings.audiences.isEmpty
            else { return nil }
            return ConfigurationProblem(
                place: settings.keysPlace,
                sentence:
                    "access.jwt: without 'audience' a token that the issuer has made for another app is"
                    + " good here too")
        }
    }
}

extension TokenSettings {
    fileprivate var demands: TokenDemands {
        var demands = TokenDemands()
        demands.issuers = issuers
        demands.audiences = audiences
        demands.matches = claims.map { TokenDemands.Match(claim: $0.name, values: $0.values) }
        demands.told = forward.map(\.claim)
        demands.leewayMilliseconds = leeway.wholeMilliseconds
        demands.needsEnd = end != nil
        return demands
    }
}

extension TokenSettings.Place {
    fileprivate var place: TokenPlace {
        switch self {
        case .header: .header
        case .cookie(let name): .cookie(Array(name.utf8))
        case .query(let name): .query(Array(name.utf8))
        case .subprotocol(let prefix): .subprotocol(Array(prefix.utf8))
        }
    }
}
