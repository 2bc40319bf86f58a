// SPDX-License-Identifier: Apache-2.0
import Glibc
import Testing

@testable import Frontend

/// The `Date` of answers (RFC 9110 §5.6.7).
struct HTTPDateTests {
    @Test(arguments: [
        (0, "Thu, 01 Jan 1970 00:00:00 GMT"), (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
        (951_827_696, "Tue, 29 Feb 2000 12:34:56 GMT"),
        (1_709_251_199, "Thu, 29 Feb 2024 23:59:59 GMT"),
        (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
    ])
    func `known moments`(seconds: UInt64, text: String) {
        #expect(HTTPDate.text(secondsSince1970: seconds) == text)
    }

    @Test func `days of two centuries are what the C library says`() {
        for day in stride(from: UInt64(0), to: 73_000, by: 7) {
            let seconds = day * 86_400 + day % 86_400
            var moment = time_t(seconds)
            var parts = tm()
            gmtime_r(&moment, &parts)
            let text = withUnsafeTemporaryAllocation(of: CChar.self, capacity: 40) { buffer in
                _ = strftime(buffer.baseAddress, 40, "%a, %d %b %Y %H:%M:%S GMT", &parts)
                return buffer.baseAddress.map { String(cString: $0) }
            }
            #expect(HTTPDate.text(secondsSince1970: seconds) == text)
        }
    }

    @Test func `the present is written in the same form`() throws {
        var date = HTTPDate()
        let text = date.now()
        #expect(text.utf8.count == 29 && text.hasSuffix(" GMT"))
        let year = try #require(Int(text.split(separator: " ")[3]))
        #expect(year >= 2024)
    }
}
