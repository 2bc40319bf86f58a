// SPDX-License-Identifier: Apache-2.0
import TLS
import Wire

extension Doctor {
    /// The opening handshake of a client (RFC 6455 §4.1).
    func request(key: [UInt8]) -> [UInt8] {
        let lines =
            [
                "GET \(target) HTTP/1.1", "Host: \(url.authority)",
                "Upgrade: websocket", "Connection: Upgrade",
                "Sec-WebSocket-Key: \(String(decoding: key, as: UTF8.self))",
            ] + socketFields.map { "\($0.name): \($0.value)" }
        return Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8)
    }

    /// Path and query, as far as they may be told.
    var target: String { isHoldingBack ? url.path : url.target }

    /// What a request for a WebSocket has in every version of HTTP.
    var socketFields: [(name: String, value: String)] {
        var fields = [(name: "Sec-WebSocket-Version", value: "13")]
        if let origin { fields.append(("Origin", origin)) }
        if !options.subprotocols.isEmpty {
            fields.append(
                ("Sec-WebSocket-Protocol", options.subprotocols.joined(separator: ", ")))
        }
        if !options.extensions.isEmpty {
            fields.append(
                ("Sec-WebSocket-Extensions", options.extensions.joined(separator: ", ")))
        }
        return fields + (isHoldingBack ? [] : options.fields)
    }

    /// The origin that is sent, if one is.
    ///
    /// Where nothing was asked for it is that of a page of the same host: what is healthy lets a page in.
    var origin: String? {
        isWithoutOrigin ? nil : options.origin ?? options.page?.origin ?? url.origin
    }

    /// What is read of an answer that has no end of its head.
    static let headBytesMax = 65_536

    /// The head at the start of some bytes, once it is whole, and how long it is.
    static func head(_ bytes: [UInt8]) -> (status: Int, head: ResponseHead, count: Int)? {
        guard case .complete(let head, let count) = progress(bytes) else { return nil }
        return (head.status, head, count)
    }

    /// Why some bytes will never be the start of a head, however many more come; nil where they may.
    static func fault(_ bytes: [UInt8]) -> HeadFault? {
        guard case .failed(let fault) = progress(bytes) else { return nil }
        return fault
    }

    private static func progress(_ bytes: [UInt8]) -> ResponseHeadParser.Progress {
        var parser = ResponseHeadParser(limits: .builtIn(bytesMax: headBytesMax))
        return bytes.withUnsafeBytes { parser.append($0) }
    }

    /// Asks for a WebSocket.
    mutating func upgrade(_ line: Line) -> Way {
        let key = WebSocketAccept.makeKey()
        line.send(request(key: key))
        while true {
            if let found = Self.head(line.waiting) {
                line.take(found.count)
                // Interim answers come before the one that counts.
                if found.status != 101 && found.status < 200 { continue }
                serverTime = found.head.fields.string("date").flatMap(Self.seconds)
                if found.status == 101 { return judge(found.head, key) }
                refused(found.head, line)
                return .ended
            }
            let fault = Self.fault(line.waiting)
            // Without TLS, whoever says nothing may wait for it.
            let limit = url.isSecure ? answerDeadline : firstWordDeadline
            if fault != nil || !line.receive(until: limit) {
                if Self.head(line.waiting) != nil { continue }
                noHead(line, fault)
                return .ended
            }
        }
    }

    private mutating func noHead(_ line: Line, _ fault: HeadFault?) {
        if let probe = line.probe, probe.alert?.number == 116 || probe.wantsClientCertificate {
            clientCertificate(.upgrade, "the server ends the connection without a certificate")
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
                .upgrade, line.hasEnded ? "the connection ends" : "no answer in time", .noAnswer,
                "The server takes the request and "
                    + (line.hasEnded
                        ? "closes the connection without an answer." : "does not answer."),
                "Look into the server's log; behind a proxy, see whether the app is up.")
            return
        }
        if line.waiting.starts(with: Array("HTTP/1.".utf8)) {
            let why = fault?.sentence ?? "It ends in the middle of its head."
            bad(
                .upgrade, "an answer that can't be read", .otherProtocol,
                "The answer on port \(url.port) begins like HTTP and is none that can be read. \(why)",
                "Mend the answer of the app, or of the proxy in between.")
            return
        }
        let text = Self.printable(line.waiting.prefix(60))
        bad(
            .upgrade, "the server says \"\(text)\"", .otherProtocol,
            "Port \(url.port) does not speak HTTP; it says \"\(text)\".",
            "Correct the port in the URL.")
    }

    private mutating func shouldBeSecure(_ found: String) {
        bad(
            .upgrade, found, .speaksTLS,
            "Port \(url.port) speaks TLS, and the URL says ws.",
            "Use \(url.text(secure: true)).")
    }

    /// An answer that says 101.
    private mutating func judge(_ head: ResponseHead, _ key: [UInt8]) -> Way {
        let found = "101 \(String(decoding: head.reason, as: UTF8.self))"
        guard head.fields.listContains("upgrade", token: "websocket"),
            head.fields.listContains("connection", token: "upgrade")
        else {
            bad(
                .upgrade, found, .fieldsStripped,
                "The answer is 101 without `Upgrade: websocket` and `Connection: Upgrade`: something"
                    + " on the way takes those fields out.", Self.passTheUpgradeOn)
            return .faulty
        }
        let accept = String(decoding: WebSocketAccept.value(forKey: key), as: UTF8.self)
        guard head.fields.string("sec-websocket-accept") == accept else {
            bad(
                .upgrade, found, .wrongAccept,
                "The server's Sec-WebSocket-Accept does not belong to the key that was sent, so"
                    + " clients close the connection.",
                "Mend the server: it has to hash the key of each request (RFC 6455 §4.2.2), and"
                    + " nothing in between may answer from a cache.")
            return .faulty
        }
        guard isAgreed(head, found) else { return .faulty }
        return .open
    }

    /// Subprotocol and extensions: nothing that was not asked for, and what was.
    private mutating func isAgreed(_ head: ResponseHead, _ found: String) -> Bool {
        let granted = head.fields.string("sec-websocket-protocol")
        let extensions = Self.extensionNames(head)
        let offered = options.extensions.map(Self.extensionName)
        var unasked = extensions.filter { !offered.contains($0) }.map { "the extension \($0)" }
        if let granted, options.subprotocols.isEmpty {
            unasked.append("the subprotocol \(granted)")
        }
        if let first = unasked.first {
            bad(
                .upgrade, "\(found), \(first)", .unrequested,
                "The server grants \(first), which was not asked for, so clients close the"
                    + " connection (RFC 6455 §4.1).",
                "Have the server grant only what the request offers.")
            return false
        }
        if !options.subprotocols.isEmpty, !options.subprotocols.contains(granted ?? "") {
            bad(
                .upgrade, "\(found), subprotocol \(granted ?? "none")", .subprotocolRefused,
                "The server grants \(granted.map { "the subprotocol \($0)" } ?? "no subprotocol");"
                    + " asked for: \(options.subprotocols.joined(separator: ", ")).",
                "Ask for one that the server has, or add it there.")
            return false
        }
        if !offered.isEmpty, extensions.isEmpty {
            let all = options.extensions.joined(separator: ", ")
            reserve(
                .extensionRefused,
                "The socket works, but the server does not grant \(all): clients go on without it.",
                "Enable the extension in the app; a proxy in between has to pass the field on.")
        }
        var words = [found] + extensions.map { "extension \($0)" }
        if let granted { words.append("subprotocol \(granted)") }
        good(.upgrade, words.joined(separator: ", "))
        return true
    }

    /// The names of the extensions that were granted; what stands behind them is between the peers.
    private static func extensionNames(_ head: ResponseHead) -> [String] {
        head.fields.tokens("sec-websocket-extensions").map(extensionName).filter { !$0.isEmpty }
    }

    private static func extensionName(_ text: String) -> String {
        text.prefix { $0 != ";" }.filter { $0 != " " && $0 != "\t" }.lowercased()
    }
}
