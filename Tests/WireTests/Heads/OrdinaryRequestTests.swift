// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Wire

@Suite struct OrdinaryRequestTests {
    private func judge(_ lines: String...) throws(HeadFault) -> OrdinaryRequest {
        var parser = RequestHeadParser()
        let bytes = Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8)
        switch bytes.withUnsafeBytes({ parser.append($0) }) {
        case .complete(let head, _): return try OrdinaryRequest.judge(head)
        case .failed(let fault): throw fault
        case .needsMore: throw HeadFault(status: 0, sentence: "no whole head")
        }
    }

    private func status(_ lines: String...) -> Int {
        var parser = RequestHeadParser()
        let bytes = Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8)
        switch bytes.withUnsafeBytes({ parser.append($0) }) {
        case .complete(let head, _):
            do throws(HeadFault) {
                _ = try OrdinaryRequest.judge(head)
                return 200
            } catch { return error.status }
        case .failed(let fault): return fault.status
        case .needsMore: return 0
        }
    }

    @Test func `a request says where it goes and where it ends`() throws {
        let get = try judge("GET /a/../b?c=d HTTP/1.1", "Host: A.example:81")
        #expect(get.host?.name == "a.example" && get.authority == Array("A.example:81".utf8))
        #expect(get.target.path == Array("/b".utf8) && get.target.query == Array("c=d".utf8))
        #expect(get.framing == .none && get.isPersistent && !get.expectsContinue)
        let post = try judge(
            "POST / HTTP/1.1", "Host: a", "Content-Length: 12", "Expect: 100-Continue")
        #expect(post.framing == .length(12) && post.expectsContinue)
        #expect(
            try judge("PUT / HTTP/1.1", "Host: a", "Transfer-Encoding: Chunked").framing == .chunked
        )
        #expect(try judge("PUT / HTTP/1.1", "Host: a", "Content-Length: 0").framing == .none)
        #expect(try judge("OPTIONS * HTTP/1.1", "Host: a").isAsterisk)
    }

    @Test func `what differs from what was sent is put behind the head, and nothing else`() throws {
        for (target, path, sent, query) in [
            ("/a/b?c=%2f", "/a/b", "/a/b", "c=%2f"),
            ("/%7Eu/%2f|?%zz", "/~u/%2F%7C", "/%7Eu/%2f|", "%zz"),
            ("/x?\u{E9}", "/x", "/x", "%C3%A9"),
            ("http://a/./%41?", "/A", "/%41", ""),
        ] {
            let request = try judge("GET \(target) HTTP/1.1", "Host: a")
            #expect(request.target.path == Array(path.utf8), "\(target)")
            #expect(request.target.sentPath == Array(sent.utf8), "\(target)")
            #expect(request.target.query == Array(query.utf8), "\(target)")
            #expect(request.isPathCanonical == (path == sent))
            #expect(request.hasEscapedSlash == path.contains("%2F"))
        }
    }

    @Test func `an empty Host names no host (RFC 9110 §7.2)`() throws {
        let request = try judge("GET / HTTP/1.1", "Host:")
        #expect(request.host == nil && request.authority.isEmpty && request.hostRange.isEmpty)
        #expect(status("GET / HTTP/1.1", "Host:", "Host:") == 400)
    }

    @Test func `the host of an absolute target takes the place of an empty Host (RFC 9112 §3.2.2)`()
        throws
    {
        let request = try judge("GET http://A.example:81/x HTTP/1.1", "Host:")
        #expect(request.host == HostName(name: "a.example", port: 81, isIPv6: false))
        #expect(request.authority == Array("A.example:81".utf8))
        #expect(request.target.path == Array("/x".utf8))
        for target in ["http:///x", "http://a b/x", "http://user@a/x", "http://a:0/x"] {
            #expect(status("GET \(target) HTTP/1.1", "Host:") == 400, "\(target)")
        }
    }

    @Test func `who keeps the connection`() throws {
        #expect(try !judge("GET / HTTP/1.1", "Host: a", "Connection: x, Close").isPersistent)
        #expect(try !judge("GET / HTTP/1.0", "Host: a").isPersistent)
        #expect(try judge("GET / HTTP/1.0", "Host: a", "Connection: Keep-Alive").isPersistent)
        let old = try judge("GET / HTTP/1.0", "Expect: 100-continue")
        #expect(old.host == nil && old.authority.isEmpty && !old.expectsContinue)
    }

    @Test func `what can't be served is refused`() {
        #expect(status("GET / HTTP/1.1") == 400)
        #expect(status("GET / HTTP/1.1", "Host: a", "Host: a") == 400)
        #expect(status("GET / HTTP/1.1", "Host: a b") == 400)
        #expect(status("GET http://b/ HTTP/1.1", "Host: a") == 400)
        #expect(status("GET * HTTP/1.1", "Host: a") == 400)
        #expect(status("CONNECT a:80 HTTP/1.1", "Host: a") == 501)
        #expect(status("TRACE / HTTP/1.1", "Host: a", "Content-Length: 1") == 400)
        #expect(status("PUT / HTTP/1.1", "Host: a", "Expect: miracles") == 417)
        #expect(status("TRACE / HTTP/1.1", "Host: a") == 200)
    }

    @Test func `the answer to HEAD has no body, whatever its fields say`() throws {
        var parser = ResponseHeadParser()
        let text = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
        guard case .complete(let head, _) = Array(text.utf8).withUnsafeBytes({ parser.append($0) })
        else { return #expect(Bool(false), "no head") }
        #expect(try BodyFraming(response: head, to: .head) == .none)
        #expect(try BodyFraming(response: head, to: .get) == .length(5))
        #expect(!head.mayHaveStrayBody(to: .head))
    }
}
