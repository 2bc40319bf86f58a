// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Wire

/// Which fields tell of a login that belongs to a connection (RFC 4559 §6).
struct ConnectionLoginTests {
    private func fields(_ lines: String...) throws -> FieldList {
        var parser = ResponseHeadParser(limits: HeadLimits())
        let text = "HTTP/1.1 401 Unauthorized\r\n" + lines.map { $0 + "\r\n" }.joined() + "\r\n"
        let progress = Array(text.utf8).withUnsafeBytes { parser.append($0) }
        guard case .complete(let head, _) = progress else {
            throw HeadFault(status: 500, sentence: "not a head")
        }
        return head.fields
    }

    @Test(arguments: [
        "Authorization: NTLM TlRMTVNTUAABAAAA", "authorization: ntlm x",
        "AUTHORIZATION: Negotiate YII=",
        "Proxy-Authorization: Negotiate YII=", "Proxy-Authorization: NTLM TlRM",
        "WWW-Authenticate: NTLM", "WWW-Authenticate: Negotiate", "www-authenticate: NEGOTIATE YII=",
        "Proxy-Authenticate: NTLM", "WWW-Authenticate: Basic realm=\"a\", NTLM",
        "WWW-Authenticate: Negotiate, Basic realm=\"a\"", "WWW-Authenticate: Nego2",
        "WWW-Authenticate: Basic realm=\"a\",\tNegotiate", "WWW-Authenticate: Kerberos",
    ])
    func `a login of the connection is told from its scheme`(line: String) throws {
        #expect(try fields("X-Before: 1", line, "X-After: 2").logsConnectionIn)
        #expect(try fields("WWW-Authenticate: Basic realm=\"a\"", line).logsConnectionIn)
    }

    @Test(arguments: [
        "Authorization: Basic TlRMTTpOVExN", "Authorization: Bearer NTLMx",
        "Authorization: Digest a=b",
        "WWW-Authenticate: Basic realm=\"a\"", "WWW-Authenticate: Bearer", "WWW-Authenticate:",
        "X-Authorization: NTLM x", "Cookie: NTLM", "Authorisation: NTLM x", "Authorization: NTLMv",
        "Authentication-Info: nextnonce=\"a\"",
    ])
    func `other credentials stand for one request`(line: String) throws {
        #expect(try !fields("X-Before: NTLM", line, "X-After: Negotiate").logsConnectionIn)
    }

    @Test(arguments: [
        ("Authorization: NTLM TlRM", true), ("authorization:negotiate YII=", true),
        ("Proxy-Authorization: Kerberos", true), ("Authorization:", false),
        ("Authorization: Basic TlRMTTpOVExN", false), ("X-Authorization: NTLM x", false),
        ("Authorization", false), ("WWW-Authenticate: NTLM", false),
    ])
    func `so it is of lines that are sent`(line: String, logsIn: Bool) {
        for lines in [
            line, line + "\r\n", "X-Before: NTLM\r\n\(line)\r\nX-After: Negotiate\r\n",
        ] {
            let bytes = Array(lines.utf8)
            let found = FieldList.logsConnectionIn(bytes.span)
            #expect(found == logsIn, "\(lines)")
        }
    }

    @Test func `a head without such fields is not looked through`() throws {
        #expect(try !fields("Content-Length: 0").logsConnectionIn)
    }
}
