// SPDX-License-Identifier: Apache-2.0
import Config
import Frontend
import Reactor

/// Who may use a route: from its settings to what requests are judged by.
extension Assembly {
    static func access(_ settings: AccessSettings) throws(ConfigurationProblems) -> AccessRules {
        AccessRules(addresses: try settings.addresses.map(addresses))
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
