// SPDX-License-Identifier: Apache-2.0

/// A request that asks for no upgrade, judged (RFC 9110, RFC 9112).
///
/// A value of this type exists only for a request that may be answered or forwarded.
public struct OrdinaryRequest: Sendable {
    /// The host that the request is for; nil for HTTP/1.0 without `Host`.
    public let host: HostName?
    /// The `Host` field as sent; empty when there is none.
    public let authority: [UInt8]
    /// The path and query; `/` for `OPTIONS *`.
    public let target: RequestTarget
    /// Whether the target is `*`, which asks about the server as a whole (RFC 9110 §9.3.7).
    public let isAsterisk: Bool
    /// Where the body ends.
    public let framing: BodyFraming
    /// Whether the client waits for a 100 before it sends the body (RFC 9110 §10.1.1).
    public let expectsContinue: Bool
    /// Whether the client may send another request behind this one (RFC 9112 §9.3).
    public let isPersistent: Bool
    /// The head that all this was read from.
    public let head: RequestHead

    /// Reads the request out of a head, or says why it can't be served.
    public static func judge(_ head: RequestHead) throws(HeadFault) -> OrdinaryRequest {
        let fields = head.fields
        guard head.method != "CONNECT" else {
            throw HeadFault(
                status: 501,
                sentence: "CONNECT asks for a tunnel of a kind that is not served here.")
        }
        let isAsterisk = head.target.elementsEqual([UInt8(ascii: "*")])
        guard !isAsterisk || head.method == "OPTIONS" else {
            throw .bad("The target '*' belongs to OPTIONS alone.")
        }
        let target = try RequestTarget(
            parsing: isAsterisk ? [Octet.slash][...] : head.target)
        let (host, authority) = try hostAndAuthority(head, target)
        let framing = try BodyFraming(request: head)
        guard head.method != "TRACE" || framing == .none else {
            throw .bad("A TRACE request has no body.")
        }
        let options = fields.connectionOptions
        let isPersistent =
            !options.contains("close") && (head.isHTTP11 || options.contains("keep-alive"))
        return OrdinaryRequest(
            host: host, authority: Array(authority), target: target, isAsterisk: isAsterisk,
            framing: framing, expectsContinue: try expectsContinue(head),
            isPersistent: isPersistent, head: head)
    }

    private static func hostAndAuthority(
        _ head: RequestHead, _ target: RequestTarget
    ) throws(HeadFault) -> (HostName?, ArraySlice<UInt8>) {
        guard let authority = head.fields.first("host") else {
            guard !head.isHTTP11 else { throw .bad("There is no Host field.") }
            if let other = target.authority {
                return (try HostName(parsing: other[...]), other[...])
            }
            return (nil, [])
        }
        guard head.fields.count(of: "host") == 1 else {
            throw .bad("There is more than one Host field.")
        }
        let host = try HostName(parsing: authority)
        if let other = target.authority, try HostName(parsing: other[...]) != host {
            throw .bad("The URL in the request line names another host than Host does.")
        }
        return (host, authority)
    }

    private static func expectsContinue(_ head: RequestHead) throws(HeadFault) -> Bool {
        let expectations = head.fields.tokens("expect")
        // An HTTP/1.0 client can't wait for an interim answer (RFC 9110 §10.1.1).
        if expectations.isEmpty || !head.isHTTP11 { return false }
        guard expectations == ["100-continue"] else {
            throw HeadFault(
                status: 417, sentence: "The Expect field asks for more than 100-continue.")
        }
        return true
    }
}
