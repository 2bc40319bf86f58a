// SPDX-License-Identifier: Apache-2.0
import TLS
import Wire

extension Doctor {
    /// The opening handshake of a client (RFC 6455 §4.1).
    func request(key: [UInt8]) -> [UInt8] {
        var lines = [
            "GET \(url.target) HTTP/1.1", "Host: \(url.authority)", "Upgrade: websocket",
            "Connection: Upgrade", "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: \(String(decoding: key, as: UTF8.self))",
        ]
        if let origin = options.origin ?? options.page.map(Self.origin) {
            lines.append("Origin: \(origin)")
        }
        if !options.subprotocols.isEmpty {
            lines.append(
                "Sec-WebSocket-Protocol: \(options.subprotocols.joined(separator: ", "))")
        }
        lines += options.fields.map { "\($0.name): \($0.value)" }
        return Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8)
    }

    /// Scheme, host and port of a page's URL.
    private static func origin(of page: String) -> String {
        page.split(separator: "/", omittingEmptySubsequences: false).prefix(3)
            .joined(separator: "/")
    }

    /// The head at the start of some bytes, once it is whole, and how long it is.
    static func head(_ bytes: [UInt8]) -> (status: Int, head: ResponseHead, count: Int)? {
        var parser = ResponseHeadParser(limits: HeadLimits(bytesMax: 65_536))
        let progress = bytes.withUnsafeBytes { parser.append($0) }
        guard case .complete(let head, let count) = progress else { return nil }
        return (head.status, head, count)
    }

    /// Asks for a WebSocket; false where the way ends.
    mutating func upgrade(_ line: Line) -> Bool {
        let key = WebSocketAccept.makeKey()
        line.send(request(key: key))
        while true {
            if let found = Self.head(line.waiting) {
                line.take(found.count)
                // Interim answers come before the one that counts.
                if found.status != 101 && found.status < 200 { continue }
                return judge(found.head, key)
            }
            if line.waiting.count > 65_536 || !line.receive(until: answerDeadline) {
                if Self.head(line.waiting) != nil { continue }
                noHead(line)
                return false
            }
        }
    }

    private mutating func noHead(_ line: Line) {
        if let probe = line.probe, probe.alert?.number == 116 || probe.wantsClientCertificate {
            clientCertificate("upgrade", "the server ends the connection without a certificate")
            return
        }
        if !url.isSecure, line.waiting.first == 0x15 || line.waiting.isEmpty, speaksTLS() {
            shouldBeSecure(
                line.waiting.isEmpty
                    ? "no answer to plain HTTP" : "the port answers with a TLS alert"
            )
            return
        }
        if line.waiting.isEmpty {
            bad(
                "upgrade", line.hasEnded ? "the connection ends" : "no answer in time", .noAnswer,
                "The server takes the request and "
                    + (line.hasEnded
                        ? "closes the connection without an answer." : "does not answer."),
                "Look into the server's log; behind a proxy, see whether the app is up.")
            return
        }
        let text = String(
            decoding: line.waiting.prefix(60).map {
                $0 >= 0x20 && $0 < 0x7F ? $0 : UInt8(ascii: ".")
            }, as: UTF8.self)
        bad(
            "upgrade", "the server says \"\(text)\"", .otherProtocol,
            "Port \(url.port) does not speak HTTP; it says \"\(text)\".",
            "Correct the port in the URL.")
    }

    private mutating func shouldBeSecure(_ found: String) {
        bad(
            "upgrade", found, .speaksTLS,
            "Port \(url.port) speaks TLS, and the URL says ws.",
            "Use \(url.text(secure: true)).")
    }

    private mutating func judge(_ head: ResponseHead, _ key: [UInt8]) -> Bool {
        let reason = String(decoding: head.reason, as: UTF8.self)
        let found = "\(head.status) \(reason)"
        guard head.status == 101 else {
            refused(head, found)
            return false
        }
        guard head.fields.listContains("upgrade", token: "websocket"),
            head.fields.listContains("connection", token: "upgrade")
        else {
            bad(
                "upgrade", found, .fieldsStripped,
                "The answer is 101 without `Upgrade: websocket` and `Connection: Upgrade`: something"
                    + " on the way takes those fields out.",
                "Have the proxy in between pass the upgrade on (nginx: proxy_http_version 1.1 and"
                    + " the two fields).")
            return false
        }
        let accept = String(decoding: WebSocketAccept.value(forKey: key), as: UTF8.self)
        guard head.fields.string("sec-websocket-accept") == accept else {
            bad(
                "upgrade", found, .wrongAccept,
                "The server's Sec-WebSocket-Accept does not belong to the key that was sent, so"
                    + " clients close the connection.",
                "Mend the server: it has to hash the key of each request (RFC 6455 §4.2.2), and"
                    + " nothing in between may answer from a cache.")
            return false
        }
        let granted = head.fields.string("sec-websocket-protocol")
        if !options.subprotocols.isEmpty, !options.subprotocols.contains(granted ?? "") {
            bad(
                "upgrade", "\(found), subprotocol \(granted ?? "none")", .subprotocolRefused,
                "The server grants \(granted.map { "the subprotocol \($0)" } ?? "no subprotocol");"
                    + " asked for: \(options.subprotocols.joined(separator: ", ")).",
                "Ask for one that the server has, or add it there.")
            return false
        }
        good("upgrade", found + (granted.map { ", subprotocol \($0)" } ?? ""))
        return true
    }

    /// An answer that is no 101: what its status means here.
    private mutating func refused(_ head: ResponseHead, _ found: String) {
        let cause = head.fields.string("proxy-status").map { " Proxy-Status says: \($0)." } ?? ""
        func say(_ verdict: Verdict, _ sentence: String, _ remedy: String) {
            bad("upgrade", found, verdict, sentence + cause, remedy)
        }
        switch head.status {
        case 200..<300:
            say(
                .notUpgraded,
                "\(url.target) answers with an ordinary page, not a WebSocket (\(found)).",
                "Correct the path, or have the app serve a WebSocket there; a proxy in between has to"
                    + " pass the upgrade on.")
        case 300..<400:
            let place = head.fields.string("location") ?? "elsewhere"
            say(
                .redirected,
                "The server points to \(place), and WebSocket clients follow no redirects.",
                "Use the URL that it points to.")
        case 401:
            say(
                .unauthorized, "The server wants to know who it is (401).",
                "Log in first, or send the field it wants with --header.")
        case 403:
            let origin = options.origin ?? options.page ?? "none"
            say(
                .forbidden,
                "The server refuses this request (403); the origin sent was: \(origin).",
                "Add the page's origin to what the server lets in (Sluice: origins), or send"
                    + " another with --origin.")
        case 404:
            say(
                .notFound, "The server has nothing at \(url.target) (404).",
                "Correct the path in the URL, or add a route for it.")
        case 426:
            say(
                .upgradeRequired, "The server wants another upgrade (426).",
                "It may not speak version 13 of the WebSocket protocol: update it.")
        case 429:
            let wait = head.fields.string("retry-after").map { " in \($0) s" } ?? " later"
            say(
                .tooManyRequests, "The server has had too many requests (429).", "Try again\(wait)."
            )
        case 502:
            say(
                .badGateway, "A proxy can't talk to the app behind it (502).",
                "Start the app, or correct the address that the proxy has of it.")
        case 503:
            say(
                .unavailable, "The service is not available (503).",
                "Start the app, or wait until it has room.")
        case 504:
            say(
                .gatewayTimeout, "The app behind the proxy does not answer in time (504).",
                "See what keeps the app, or whether a packet filter stands before it.")
        case 400 where !url.isSecure && speaksTLS():
            shouldBeSecure("\(found) to plain HTTP")
        default:
            say(
                .refusedUpgrade, "The server refuses the upgrade: \(found).",
                "Look into the server's log.")
        }
    }
}
