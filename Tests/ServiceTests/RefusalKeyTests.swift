// SPDX-License-Identifier: Apache-2.0
import Testing
import Wire

@testable import Config
@testable import Frontend

/// A refusal by a limit or a deadline names the key that sets it, as the configuration has it.
struct RefusalKeyTests {
    /// The sentence, and the key that it has to name.
    static let sentences: [(String, String)] =
        [
            (Refusal.headTimeout, "timeouts.head"), (.bodyTimeout, "timeouts.body"),
            (.requestTimeout, "timeouts.answer"), (.answerStalled, "timeouts.answerBody"),
            (.answerTimeout, "timeouts.upgrade"), (.connectTimeout, "timeouts.connect"),
            (.tooLarge(10), "routes[].limits.bodyBytes"),
            (.routeFull("/a"), "routes[].limits.relays"),
            (.clientHasTooMany, "routes[].limits.relaysPerClient"),
            (.clientComesTooOften(1), "routes[].limits.newRelaysPerSecond"),
            (.endpointsFull("NAME"), "upstreams.NAME.maxConnections"),
            (Refusal(fault(.bytes)), "limits.headBytes"),
            (Refusal(fault(.fields)), "limits.headFields"),
            (Refusal(fault(.targetBytes)), "limits.targetBytes"),
        ].map { ($0.sentence, $1) } + [
            (FrameViolation.messageTooBig.sentence, "routes[].limits.messageBytes"),
            (FrameViolation.tooManyFragments.sentence, "routes[].limits.fragments"),
            (FrameViolation.tooManyMessages.sentence, "routes[].limits.messagesPerSecond"),
        ]

    private static func fault(_ limit: HeadLimits.Kind) -> HeadFault {
        HeadFault(status: 431, sentence: "It is too long.", limit: limit)
    }

    @Test(arguments: sentences)
    func `a limit is named by a key that exists`(sentence: String, key: String) throws {
        #expect(sentence.hasSuffix(" (\(key))."), "\(sentence)")
        let dot = try #require(key.lastIndex(of: "."))
        let section = try #require(KeySection.all.first { $0.title == key[..<dot] })
        #expect(section.names.contains(String(key[dot...].dropFirst())))
    }

    @Test func `what is no limit names no key`() {
        #expect(
            Refusal(HeadFault(status: 400, sentence: "It is wrong.")).sentence == "It is wrong.")
    }
}
