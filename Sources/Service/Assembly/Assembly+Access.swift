// SPDX-License-Identifier: Apache-2.0
import Access
import Config
import Frontend
import Reactor

/// The users and passwords of a configuration, by their files.
typealias PasswordLists = [String: PasswordList]

/// What logins are judged by.
typealias Logins = (passwords: PasswordLists, tokens: TokenRules, clients: [ListenerClients])

/// Who may use a route: from its settings to what requests are judged by.
extension Assembly {
    static func access(
        _ settings: AccessSettings, _ logins: Logins, of route: RouteSettings,
        asking group: EndpointGroup?
    ) throws(ConfigurationProblems) -> AccessRules {
        let addresses = try settings.addresses.map(addresses)
        let basic = settings.basic.flatMap { basic in
            logins.passwords[basic.file].map { BasicRule(passwords: $0, realm: basic.realm) }
        }
        precondition(
            (basic == nil) == (settings.basic == nil), "a file of passwords was not read")
        var certificate: CertificateRule?
        if let rule = settings.clientCertificate {
            certificate = try certificateRule(rule, of: route, logins.clients)
        }
        return AccessRules(
            addresses: addresses, basic: basic, token: settings.token.map(logins.tokens.access),
            certificate: certificate,
            forward: settings.forward.flatMap { forward in
                group.map {
                    forwardRule(forward, $0, settings.token?.forward.map(\.field) ?? [])
                }
            })
    }

    /// Reads the files of users and passwords, each once; those whose content is as before stay what they are, with
    /// what they have found.
    ///
    /// - Throws: `ConfigurationProblems`, with those of all files.
    static func passwords(
        _ configuration: Configuration, previous: PasswordLists
    ) throws(ConfigurationProblems) -> PasswordLists {
        var lists: PasswordLists = [:]
        var problems: [ConfigurationProblem] = []
        var failed: Set<String> = []
        for basic in configuration.routes.compactMap(\.access?.basic)
        where lists[basic.file] == nil && failed.insert(basic.file).inserted {
            do {
                let read = try PasswordList(WholeFile.read(basic.file))
                let known = previous[basic.file].flatMap { $0.isSame(as: read) ? $0 : nil }
                lists[basic.file] = known ?? read
            } catch {
                let clause =
                    switch error {
                    case let fault as PasswordList.Fault: fault.clause
                    case let refusal as WholeFile.Refusal:
                        "\(refusal.sentence); \(refusal.remedy)"
                    default: "\(error)"
                    }
                problems.append(
                    ConfigurationProblem(
                        place: basic.place,
                        sentence: "access.basic.file: '\(basic.file)': \(clause)"))
            }
        }
        guard problems.isEmpty else { throw ConfigurationProblems(sorting: problems) }
        return lists
    }

    private static func forwardRule(
        _ settings: ForwardSettings, _ group: EndpointGroup, _ told: [String]
    ) -> ForwardRule {
        ForwardRule(
            group: group, target: settings.path,
            timeoutMilliseconds: settings.timeout.wholeMilliseconds, fields: settings.fields,
            recheckMilliseconds: settings.recheck?.wholeMilliseconds ?? 0,
            cacheMilliseconds: settings.cache?.wholeMilliseconds ?? 0, code: settings.code,
            withholding: told)
    }

    private static func addresses(
        _ rules: AddressRules
    ) throws(ConfigurationProblems) -> AddressList {
        let allowed = try blocks(rules.allow)
        let denied = try blocks(rules.deny)
        let places = Dictionary(
            zip(allowed, rules.allow.map(\.place)), uniquingKeysWith: { first, _ in first })
        for (block, setting) in zip(denied, rules.deny) {
            guard let other = places[block] else { continue }
            throw problem(
                setting.place,
                "deny: found '\(setting.block)', which 'allow' has at \(other) too, allowed: one of"
                    + " the two")
        }
        return AddressList(allowed: allowed, denied: denied)
    }

    /// Blocks of addresses, each of which has to be one.
    static func blocks(
        _ settings: [PlacedBlock]
    ) throws(ConfigurationProblems) -> [AddressBlock] {
        var blocks: [AddressBlock] = []
        blocks.reserveCapacity(settings.count)
        for setting in settings {
            do throws(AddressFault) {
                blocks.append(try AddressBlock(parsing: setting.block))
            } catch {
                throw problem(setting.place, error.sentence)
            }
        }
        return blocks
    }
}
