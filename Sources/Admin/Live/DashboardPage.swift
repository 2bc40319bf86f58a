// SPDX-License-Identifier: Apache-2.0
import Foundation

extension AdminAnswer {
    /// The page of the dashboard: whole in itself, so that it asks for nothing but the feed and what its buttons do.
    ///
    /// Its one script and its one style are allowed by a number that no other answer has (CSP Level 3 §6.7.3).
    public static func dashboard() -> AdminAnswer {
        var generator = SystemRandomNumberGenerator()
        let random = (0..<16).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
        let nonce = Data(random).base64EncodedString()
        let page = String(decoding: PackageResources.dashboard_html, as: UTF8.self)
            .replacingOccurrences(of: "@NONCE@", with: nonce)
        var answer = AdminAnswer(type: "text/html; charset=utf-8", body: Data(page.utf8))
        answer.fields = [
            (
                "Content-Security-Policy",
                "default-src 'none'; script-src 'nonce-\(nonce)'; style-src 'nonce-\(nonce)'; connect-src 'self';"
                    + " img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
            ),
            ("X-Frame-Options", "DENY"), ("Referrer-Policy", "no-referrer"),
            ("Cross-Origin-Opener-Policy", "same-origin"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
        ]
        return answer
    }
}
