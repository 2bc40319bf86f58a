// SPDX-License-Identifier: Apache-2.0
import Config
import TLS
import Testing

@testable import Service

/// Goal: who does TLS is planned wherever TLS is spoken, on either side.
struct RecordPlanTests {
    private static let app = EndpointAddress.tls(host: "localhost", port: 1)
    private static let plain = EndpointAddress.tcp(host: "localhost", port: 1)

    private func configuration(
        tls: TLSSettings? = nil, to endpoint: EndpointAddress = plain
    ) -> Configuration {
        Configuration.quick(listen: ["127.0.0.1:0"], tls: tls, to: endpoint)
    }

    @Test func `there is a plan where clients or apps speak TLS`() throws {
        #expect(RecordPlan(configuration()) == nil)
        let plan = try #require(RecordPlan(configuration(tls: TLSSettings(certificates: []))))
        #expect(plan.releases && plan.keyScheduleReason == nil)
        #expect(plan.engine.name == RecordEngine.best.name)
        // To an upstream, and by the endpoint alone.
        #expect(RecordPlan(configuration(to: Self.app))?.sentence == plan.sentence)
        var direct = configuration()
        direct.routes[0].to = .endpoint(Self.app)
        #expect(RecordPlan(direct)?.sentence == plan.sentence)
    }

    @Test func `what the operator says holds for apps too`() throws {
        var settings = configuration(to: Self.app)
        settings.tls.keySchedule = .openssl
        settings.tls.records = .openssl
        let slow = try #require(RecordPlan(settings))
        #expect(slow.releases && slow.engine.name == RecordEngine.openSSL.name)
        #expect(slow.engineReason == "tls.records says so")
        #expect(slow.keyScheduleReason == "tls.keySchedule says so")
        settings.tls.release = false
        let kept = try #require(RecordPlan(settings))
        #expect(!kept.releases && kept.keepingReason == "tls.release says so")
    }
}
