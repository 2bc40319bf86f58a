// SPDX-License-Identifier: Apache-2.0
import TLS
import Wire

extension Doctor {
    static let passTheUpgradeOn =
        "Have the proxy in between pass the upgrade on (nginx: proxy_http_version 1.1, and"
        + " proxy_set_header Upgrade $http_upgrade and Connection upgrade)."

    /// An answer that is no 101: what its status means here.
    mutating func refused(_ head: ResponseHead, _ line: Line) {
        let found = "\(head.status) \(String(decoding: head.reason, as: UTF8.self))"
        let words = body(head, line)
        // Its answer says all that the field does, and what to do.
        if head.status == 403, let origin, let words, Self.isOfSluice(head) {
            bad(
                .upgrade, found, .forbidden,
                "Sluice refuses a page of the origin \(origin) (403).", words)
            return
        }
        let cause = head.fields.string("proxy-status").map { " " + ProxyStatus.sentence($0) } ?? ""
        if let words { diagnosis.notes.append("The answer says: \(words)") }
        let opinion = opinion(head, found, line)
        let drained = words.flatMap { Self.remedyOfDrain(head, $0) }
        bad(
            .upgrade, found, opinion.verdict, opinion.sentence + cause, drained ?? opinion.remedy)
    }

    /// What opens again what the operator of a Sluice drains; nil where nothing is drained.
    ///
    /// Proxy-Status says that there is nowhere to go, and the answer names what is drained.
    private static func remedyOfDrain(_ head: ResponseHead, _ words: String) -> String? {
        guard head.status == 503, isOfSluice(head),
            let status = head.fields.string("proxy-status"),
            ProxyStatus.error(status) == .destinationUnavailable
        else { return nil }
        func name(after start: String) -> Substring? {
            guard words.hasPrefix(start), let end = words.firstRange(of: " is being drained")
            else { return nil }
            return words[..<end.lowerBound].dropFirst(start.count)
        }
        if let route = name(after: "The route ") {
            return
                "Sluice's operator drains the route \(route): sluice drain --route \(route) --resume"
                + " opens it again."
        }
        return name(after: "Every endpoint of ").map {
            "Sluice's operator drains the endpoints of \($0): sluice drain --endpoint NAME --resume opens"
                + " one again, and sluice status lists them."
        }
    }

    private typealias Opinion = (verdict: Verdict, sentence: String, remedy: String)

    private func opinion(_ head: ResponseHead, _ found: String, _ line: Line) -> Opinion {
        switch head.status {
        case 200..<300:
            return (
                .notUpgraded,
                "\(url.target) answers with an ordinary page, not a WebSocket (\(found)).",
                "Correct the path, or have the app serve a WebSocket there. "
                    + Self.passTheUpgradeOn
            )
        case 300..<400: return redirected(head)
        // nginx says so in HTTP, after a handshake without the certificate.
        case 400 where line.probe?.wantsClientCertificate == true: return Self.wantsCertificate
        case 400 where !url.isSecure && speaksTLS():
            return (
                .speaksTLS, "Port \(url.port) speaks TLS, and the URL says ws.",
                "Use \(url.text(secure: true))."
            )
        case 401:
            let scheme = head.fields.string("www-authenticate").map { " by \($0)" } ?? ""
            return (
                .unauthorized, "The server wants to know who asks\(scheme) (401).",
                "Log in first, or send the field it wants: --header 'Cookie: …' or"
                    + " --header 'Authorization: …'. Pages can't send the latter."
            )
        case 403: return forbidden(head, line)
        case 404:
            return (
                .notFound, "The server has nothing at \(url.path) (404).",
                "Correct the path in the URL, or add a route for it."
            )
        case 426: return wantsUpgrade(head)
        case 429:
            return (
                .tooManyRequests, "The server has had too many requests (429).",
                "Try again\(Self.wait(head) ?? " later")."
            )
        case 500...: return opinion(onFaultOfTheServer: head, found)
        default: return Self.refused(found)
        }
    }

    private static func refused(_ found: String) -> Opinion {
        (
            .refusedUpgrade, "The server refuses the upgrade: \(found).",
            "Look into the server's log."
        )
    }

    /// What a status of the 5xx class says (RFC 9110 §15.6).
    private func opinion(onFaultOfTheServer head: ResponseHead, _ found: String) -> Opinion {
        switch head.status {
        case 502:
            return (
                .badGateway, "A proxy can't talk to the app behind it (502).",
                "Start the app, or correct the address that the proxy has of it."
            )
        case 503:
            return (
                .unavailable, "The service is not available (503).",
                "Start the app, or wait until it has room\(Self.wait(head).map { ": again\($0)" } ?? "")."
            )
        case 504:
            return (
                .gatewayTimeout, "The app behind the proxy does not answer in time (504).",
                "See what keeps the app, or whether a packet filter stands before it."
            )
        case 505:
            return (
                .fieldsStripped,
                "The app does not take the version of HTTP (505), and this was HTTP/1.1: a proxy in"
                    + " between speaks HTTP/1.0 to it, which has no upgrade.",
                Self.passTheUpgradeOn
            )
        default: return Self.refused(found)
        }
    }

    /// 403: for the page's origin, or for something else, which the same request without it tells.
    private func forbidden(_ head: ResponseHead, _ line: Line) -> Opinion {
        guard let origin else {
            return (
                .forbidden, "The server refuses this request (403), which had no Origin.",
                "See its log for the reason."
            )
        }
        if Self.isOfSluice(head) {
            return (
                .forbidden, "Sluice refuses a page of the origin \(origin) (403).",
                "Do what the answer says: list the origin in `origins` of the route, or in quick mode start"
                    + " sluice with --origin."
            )
        }
        switch statusWithoutOrigin() {
        case 101:
            return (
                .forbidden,
                "The server refuses pages of the origin \(origin) (403): without an Origin, as programs"
                    + " connect, the socket opens.",
                "Add the page's origin to what the app lets in (Sluice: origins), or send another with"
                    + " --origin."
            )
        case nil:
            return (
                .forbidden,
                "The server refuses this request (403); the origin sent was: \(origin).",
                "See the log of the app, or of the proxy in front of it: it may let in other origins only."
            )
        default:
            if isNginxPage(head, line) {
                return (
                    .forbidden,
                    "nginx itself refuses \(url.path) (403), with an Origin and without: it does not pass"
                        + " the request on to an app.",
                    "Add a location with proxy_pass for \(url.path) to nginx, or see its error log: it"
                        + " answers so for a folder without an index, for deny, and where it may not read a"
                        + " file."
                )
            }
            return (
                .forbidden,
                "The server refuses this request (403), with the origin \(origin) and without one.",
                "See the log of the app, or of the proxy in front of it. It may let in certain origins only,"
                    + " and none is not among them: --origin tries another. Or it lets in certain hosts only,"
                    + " or wants a login."
            )
        }
    }

    /// Whether Sluice itself has refused, and no app behind it.
    private static func isOfSluice(_ head: ResponseHead) -> Bool {
        head.fields.string("proxy-status")?.hasPrefix("sluice;") == true
    }

    /// What the same request without an origin is answered; nil where that can't be told.
    private func statusWithoutOrigin() -> Int? {
        var other = self
        other.isWithoutOrigin = true
        guard let line = other.anotherLine() else { return nil }
        line.send(other.request(key: WebSocketAccept.makeKey()))
        while true {
            if let found = Self.head(line.waiting) {
                if found.status == 101 || found.status >= 200 { return found.status }
                line.take(found.count)
                continue
            }
            guard Self.fault(line.waiting) == nil, line.receive(until: answerDeadline) else {
                return Self.head(line.waiting)?.status
            }
        }
    }

    /// Whether the answer is a page of nginx's own, and not of an app behind it.
    private func isNginxPage(_ head: ResponseHead, _ line: Line) -> Bool {
        guard head.fields.string("server")?.lowercased().hasPrefix("nginx") == true else {
            return false
        }
        let mark = Array("<center>nginx".utf8)
        let limit = min(answerDeadline, Line.now() + 0.5)
        func isThere() -> Bool { line.waiting.prefix(4_096).contains(mark) }
        while !isThere(), line.waiting.count < 4_096, line.receive(until: limit) {}
        return isThere()
    }

    static let wantsCertificate: (verdict: Verdict, sentence: String, remedy: String) = (
        .clientCertificate, "The server lets in only clients that show a certificate.",
        "Install a client certificate in the browser, or have the server not require one."
    )

    private func redirected(_ head: ResponseHead) -> Opinion {
        let place = head.fields.string("location") ?? ""
        // A path of the same server, or a URL of its own.
        let target =
            place.hasPrefix("/") && !place.hasPrefix("//")
            ? SocketURL("\(url.isSecure ? "wss" : "ws")://\(url.authority)\(place)")
            : SocketURL(place)
        return (
            .redirected,
            "The server points to \(place.isEmpty ? "elsewhere" : place), and WebSocket clients follow"
                + " no redirects.",
            target.map { "Use \($0.text(secure: $0.isSecure)), if that is where the socket is." }
                ?? "Use the URL that it points to."
        )
    }

    /// 426 in answer to a request that asks for an upgrade.
    private func wantsUpgrade(_ head: ResponseHead) -> Opinion {
        let versions = head.fields.string("sec-websocket-version")
        if let versions, !head.fields.listContains("sec-websocket-version", token: "13") {
            return (
                .upgradeRequired,
                "The server speaks version \(versions) of the WebSocket protocol, not 13 (426).",
                "Update the server: browsers speak version 13 (RFC 6455)."
            )
        }
        if head.fields.listContains("upgrade", token: "websocket") {
            return (
                .fieldsStripped,
                "The server asks for an upgrade to websocket (426), although the request did: something"
                    + " on the way takes the fields Upgrade and Connection out.",
                Self.passTheUpgradeOn
            )
        }
        let wanted = head.fields.string("upgrade") ?? "something that it does not name"
        // RFC 2817: the port is there to send clients to the one with TLS.
        if !url.isSecure, wanted.uppercased().hasPrefix("TLS/") {
            return (
                .upgradeRequired,
                "The server takes no WebSocket without TLS there: it asks for \(wanted) (426).",
                "Use \(url.secured), or the wss: URL that the answer names."
            )
        }
        return (
            .upgradeRequired, "The server wants an upgrade to \(wanted) (426).",
            "See whether a WebSocket is served at that path. " + Self.passTheUpgradeOn
        )
    }

    /// When to come again (RFC 9110 §10.2.3).
    private static func wait(_ head: ResponseHead) -> String? {
        guard let text = head.fields.string("retry-after"), !text.isEmpty else { return nil }
        return text.allSatisfy({ ("0"..."9").contains($0) }) ? " in \(text) s" : " after \(text)"
    }

    /// The first line of a body that is plain text, where it comes soon.
    private func body(_ head: ResponseHead, _ line: Line) -> String? {
        guard head.fields.string("content-type")?.lowercased().hasPrefix("text/plain") == true,
            let text = head.fields.string("content-length"), let count = Int(text), count > 0
        else { return nil }
        let limit = min(answerDeadline, Line.now() + 0.5)
        let wanted = min(count, 4_096)
        while line.waiting.count < wanted, line.receive(until: limit) {}
        let words = Self.printable(
            line.waiting.prefix(wanted).prefix { $0 != 13 && $0 != 10 }.prefix(300))
        return words.isEmpty ? nil : words
    }

    /// Bytes of a peer as text that harms no terminal.
    static func printable(_ bytes: some Sequence<UInt8>) -> String {
        String(
            decoding: bytes.map { $0 >= 0x20 && $0 < 0x7F ? $0 : UInt8(ascii: ".") }, as: UTF8.self)
    }
}
