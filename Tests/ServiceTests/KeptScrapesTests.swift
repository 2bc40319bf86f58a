// SPDX-License-Identifier: Apache-2.0
import Admin
import Foundation
import Metrics
import Testing

@testable import Service

/// Scrapes that come so often that not each is made anew.
struct KeptScrapesTests {
    private func answer(_ text: String) -> AdminAnswer {
        AdminAnswer(type: "text/plain", body: Data(text.utf8))
    }

    private func kept(
        _ scrapes: inout KeptScrapes, _ form: Exposition, _ now: UInt64
    ) -> String? {
        scrapes.answer(form, nowMilliseconds: now).map { String(decoding: $0.body, as: UTF8.self) }
    }

    @Test func `four in a second are made for those who ask, and others get what is kept`() {
        var scrapes = KeptScrapes()
        for now: UInt64 in [0, 10, 20, 30] {
            let isOneOfMany = scrapes.begin(nowMilliseconds: now)
            #expect(!isOneOfMany)
            scrapes.keep(answer("\(now)"), .text, begunMilliseconds: now, nowMilliseconds: now + 1)
        }
        let isFifthOneOfMany = scrapes.begin(nowMilliseconds: 40)
        #expect(isFifthOneOfMany)
        #expect(kept(&scrapes, .text, 40) == "30")
        #expect(kept(&scrapes, .openMetrics, 40) == nil)
        #expect(kept(&scrapes, .text, 279) == "30")
        #expect(kept(&scrapes, .text, 280) == nil)
        // One each quarter of a second is never one of many.
        for round: UInt64 in 0..<20 {
            let isOneOfMany = scrapes.begin(nowMilliseconds: 10_000 + round * 250)
            #expect(!isOneOfMany)
        }
    }

    @Test func `what takes long to make is kept for four times as long`() {
        var scrapes = KeptScrapes()
        scrapes.keep(answer("a"), .text, begunMilliseconds: 1_000, nowMilliseconds: 1_500)
        #expect(kept(&scrapes, .text, 2_999) == "a")
        #expect(kept(&scrapes, .text, 3_000) == nil)
        let failed = AdminAnswer(status: 503, text: "a reactor does not turn")
        scrapes.keep(failed, .text, begunMilliseconds: 4_000, nowMilliseconds: 6_000)
        #expect(kept(&scrapes, .text, 6_000) == nil)
    }

    @Test func `any number is a whole one, the nearest`() {
        #expect(UInt64(clamping: Double.infinity) == .max)
        #expect(UInt64(clamping: Double(UInt64.max)) == .max)
        #expect(UInt64(clamping: 1e300) == .max)
        #expect(UInt64(clamping: -1.5) == 0 && UInt64(clamping: Double.nan) == 0)
        #expect(UInt64(clamping: 2.75) == 2)
    }
}
