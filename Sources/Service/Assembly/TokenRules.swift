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

    /// Those that are fetched, by their URLs.
    var fetched: [(url: String, keyring: TokenKeyring)] {
        var told: Set<String> = []
        return rings.values.compactMap { ring in
            guard case .url(let url, _) = ring.origin else { return nil }
            return (url, ring)
        }.sorted { $0.url < $1.url }.filter { told.insert($0.url).inserted }
    }

    /// Makes the rules; what stays as it was keeps what it knows.
    ///
    /// - Throws: `ConfigurationProblems`, with those of all files.
    init(_ configuration: Configuration, previous: TokenRules?) throws(ConfigurationProblems) {
        var problems: [ConfigurationProblem] = []
        var failed: Set<TokenKeyring.Origin> = []
        for route in configuration.routes {
            guard let access = route.access, let settings = access.token else { continue }
            problems += Self.clashes(settings, access, route)
            let origin = settings.origin
            if rings[origin] == nil, failed.insert(origin).inserted {
                do throws(ConfigurationProblems) {
                    rings[origin] = try Self.keyring(
                        settings, origin, previous: previous?.rings[origin])
                } catch {
                    problems += error.problems
                }
            }
            guard let ring = rings[origin] else { continue }
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
        _ settings: TokenSettings, _ origin: TokenKeyring.Origin, previous: TokenKeyring?
    ) throws(ConfigurationProblems) -> TokenKeyring {
        switch settings.keys {
        case .url:
            if let problem = KeyWatch.problem() {
                throw Assembly.problem(settings.keysPlace, "access.jwt.keys: \(problem)")
            }
            if let path = settings.authorities {
                _ = try read(path, "access.jwt.ca", settings.authoritiesPlace)
            }
            return previous ?? TokenKeyring(origin)
        case .file(let path):
            let bytes = try read(path, "access.jwt.keys", settings.keysPlace)
            do throws(TokenKeys.Fault) {
                let keys = try TokenKeys(bytes, from: .file)
                if let previous, previous.keys?.isSame(as: keys) == true { return previous }
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

    /// What does not go together with other keys of its route.
    private static func clashes(
        _ settings: TokenSettings, _ access: AccessSettings, _ route: RouteSettings
    ) -> [ConfigurationProblem] {
        var problems: [ConfigurationProblem] = []
        if access.basic != nil, settings.from == [.header] {
            problems.append(
                ConfigurationProblem(
                    place: settings.keysPlace,
                    sentence:
                        "access.jwt.from: found 'header' alone beside 'basic', and a request has one"
                        + " Authorization field, allowed: another place for the token"))
        }
        let names = Set((route.request.set + route.request.add).map { $0.name.lowercased() })
        for told in settings.forward where names.contains(told.field.lowercased()) {
            problems.append(
                ConfigurationProblem(
                    place: settings.forwardPlace,
                    sentence:
                        "access.jwt.forward: found '\(told.field)', which 'request' writes too,"
                        + " allowed: another name in one of the two"))
        }
        return problems
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
    fileprivate var origin: TokenKeyring.Origin {
        switch keys {
        case .file(let path): .file(path)
        case .url(let url): .url(url, authorities: authorities)
        }
    }

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
