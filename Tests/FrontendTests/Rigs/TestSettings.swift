// SPDX-License-Identifier: Apache-2.0
import Ledger
import Router
import Splice
import TLS
import Wire

@testable import Frontend

// What tests use that test none of these bounds: numbers of their own. Deadlines are so long that no
// test on a slow machine meets one; a test of a bound sets it.

extension FrontendSettings {
    init() {
        self.init(
            clientHelloMilliseconds: 60_000, handshakeMilliseconds: 60_000,
            headMilliseconds: 60_000, connectMilliseconds: 60_000, upgradeMilliseconds: 60_000,
            answerMilliseconds: 60_000, bodyMilliseconds: 60_000, answerBodyMilliseconds: 60_000,
            keepAliveMilliseconds: 60_000, requestsPerConnectionMax: 10_000, releases: true,
            records: .best,
            patience: Patience(closingMilliseconds: 10_000, lingerMilliseconds: 2_000),
            headLimits: HeadLimits(bytesMax: 20_000), handshakesPerTurn: 16,
            connectionsMax: .max, clientLimits: AdmissionLimits(), relayBufferBytes: 128 * 1_024,
            tracing: nil)
    }
}

extension HeadLimits {
    init(bytesMax: Int, fieldsMax: Int = 100) {
        self.init(bytesMax: bytesMax, fieldsMax: fieldsMax, targetBytesMax: 10_000)
    }
}

extension RequestHeadParser {
    init() { self.init(limits: HeadLimits(bytesMax: 20_000)) }
}

extension ResponseHeadParser {
    init() { self.init(limits: HeadLimits(bytesMax: 20_000)) }
}

extension UpstreamRules {
    init(balance: Balance) {
        self.init(
            balance: balance, cooldownMilliseconds: 10_000, cooldownMaxMilliseconds: 120_000,
            failedAnswersMax: 5, slowStartMilliseconds: 0, activeMax: .max)
    }
}

extension EndpointGroup {
    convenience init(
        name: String, endpoints: [Endpoint], rules: UpstreamRules, hash: HashSource? = nil,
        queueLimits: QueueLimits? = nil
    ) {
        self.init(
            name: name, endpoints: endpoints, rules: rules,
            pool: PoolLimits(idleMax: 128, idleMilliseconds: 4_000), hash: hash,
            queueLimits: queueLimits)
    }

    convenience init(name: String, endpoints: [Endpoint], balance: Balance) {
        self.init(name: name, endpoints: endpoints, rules: UpstreamRules(balance: balance))
    }
}

extension DrainPlan {
    init(code: UInt16 = 1001, timeoutMilliseconds: UInt64) {
        self.init(
            code: code, reason: "", spreadMilliseconds: 0,
            timeoutMilliseconds: timeoutMilliseconds)
    }
}
