// SPDX-License-Identifier: Apache-2.0
import TestKit
import Testing

@testable import Admin

/// What the log is told of those who ask for what is not theirs.
struct AdminRefusalsTests {
    @Test func `refusals leave a line now and then, with how many there were`() {
        let told = Monitor<[String]>([])
        let refusals = AdminRefusals { sentence in told.update { $0.append(sentence) } }
        let wrong = AdminRefusal(401, "The token is not that of admin.token.")
        func note(_ refusal: AdminRefusal, _ now: UInt64) {
            refusals.note(refusal, at: "127.0.0.1:9901", nowMilliseconds: now)
        }
        note(AdminRefusal(404, "There is nothing."), 0)
        for now in 5_000..<6_000 { note(wrong, UInt64(now)) }
        note(AdminRefusal(403, "No."), 15_000)
        note(wrong, 40_000)
        let line = "A request at 127.0.0.1:9901 was refused with"
        #expect(
            told.value == [
                "\(line) 401: The token is not that of admin.token.",
                "\(line) 403: No. Since the last such line there were 999 more.",
                "\(line) 401: The token is not that of admin.token.",
            ])
    }
}
