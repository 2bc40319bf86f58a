// SPDX-License-Identifier: Apache-2.0
import HTTP2
import TLS
import Wire

extension Doctor {
    /// Whether the server offers HTTP/2, and opens sockets in it where it says that it does (RFC 8441): a
    /// browser that has the page by HTTP/2 opens the page's sockets there.
    ///
    /// It comes behind a socket that works by HTTP/1.1, on a connection of its own.
    mutating func lookAtHTTP2() {
        guard url.isSecure else { return }
        var other = self
        // The silence that was asked for takes nothing of the time.
        other.began += options.idleSeconds ?? 0
        guard let line = other.anotherLine(offering: [ALPN.http2, ALPN.http1]),
            let probe = line.probe
        else { return }
        guard probe.applicationProtocol == ALPN.http2 else {
            good(.http2, "not offered (ALPN): browsers open the socket by HTTP/1.1")
            return
        }
        let stream = HTTP2Probe()
        line.stream = stream
        line.send([])
        while stream.offersWebSockets == nil, line.receive(until: other.answerDeadline) {}
        switch stream.offersWebSockets {
        case nil:
            fail(
                "offered (ALPN), and no SETTINGS come",
                "agrees on HTTP/2 (ALPN) and does not speak it")
        case false?:
            good(
                .http2,
                "offered, without WebSockets in it (RFC 8441): browsers open the socket by HTTP/1.1"
            )
        case true?: other.open(stream, line, &self)
        }
    }

    /// Opens a socket in HTTP/2; what came of it is told to `teller`.
    private func open(_ stream: HTTP2Probe, _ line: Line, _ teller: inout Doctor) {
        stream.open(authority: url.authority, path: target, fields: socketFields)
        line.send([])
        while stream.status == nil, line.receive(until: answerDeadline) {}
        let offered = "offered with WebSockets in it (RFC 8441)"
        switch stream.status {
        case 200?:
            if let silence = pong(line, until: answerDeadline) {
                teller.fail(
                    "\(offered), and one that is open does not answer a ping: \(silence.words)",
                    "opens the socket in HTTP/2, and it does not answer a ping there")
                return
            }
            line.send(frame(.close, [0x03, 0xE9]))
            teller.good(
                .http2,
                "\(offered), which work: browsers open the socket there if they have the page by"
                    + " HTTP/2, else by HTTP/1.1")
        case let status? where [401, 403, 409, 429].contains(status):
            // That may be about a second socket, whichever way it comes.
            teller.good(
                .http2,
                "\(offered), and a second socket is answered \(status) there: what was sent may be"
                    + " good for one alone")
        case let status?:
            teller.fail(
                "\(offered), and one is answered \(status)",
                "says that sockets open in HTTP/2 (RFC 8441), and answers one with \(status) there")
        case nil:
            let how =
                stream.errorCode.map { "is reset (\($0))" }
                ?? (line.hasEnded ? "ends without an answer" : "is not answered")
            teller.fail(
                "\(offered), and one \(how)",
                "says that sockets open in HTTP/2 (RFC 8441), and one \(how) there")
        }
    }

    private mutating func fail(_ found: String, _ what: String) {
        poor(.http2, found)
        reserve(
            .http2Fails,
            "The socket works by HTTP/1.1, but not by HTTP/2: the server \(what). Browsers that have the"
                + " page by HTTP/2 fail.",
            "Mend how the server, or the proxy in front of the app, passes an extended CONNECT on, or have"
                + " it not offer that (Sluice: listen[].http2.websockets: false).")
    }
}
