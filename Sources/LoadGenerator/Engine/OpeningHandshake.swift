// SPDX-License-Identifier: Apache-2.0
import HTTP2
import TLS
import Wire

/// The upgrade request of a run, and what answers it.
///
/// All connections of a run send the same one: its key is drawn once, since the answer is checked
/// the same and only the load generator's own time would go into drawing more.
final class OpeningHandshake: Sendable {
    let request: [UInt8]
    private let offered: UpgradeRequest
    private let accept: [UInt8]

    /// What HTTP/2 is asked with beside the pseudo fields.
    let moreFields: [(String, String)]
    private let subprotocols: [String]

    init(target: LoadTarget, dialing: LoadDialing = LoadDialing()) throws(LoadFault) {
        // A variable of a script may have brought a line end into it.
        guard LoadTarget.isProper(target.target) else {
            throw LoadFault("the path “\(target.target)” must be percent-encoded")
        }
        let key = WebSocketAccept.makeKey()
        var writer = HeadWriter()
        let fields = Self.fields(of: dialing)
        subprotocols = dialing.subprotocols
        moreFields = fields.filter { $0.name.lowercased() != "host" }
            .map { ($0.name.lowercased(), $0.value) }
        writer.requestLine("GET", target: Array(target.target.utf8))
        if !fields.contains(where: { $0.name.lowercased() == "host" }) {
            writer.field("Host", target.authority)
        }
        writer.field("Upgrade", "websocket")
        writer.field("Connection", "Upgrade")
        writer.field("Sec-WebSocket-Key", key)
        writer.field("Sec-WebSocket-Version", "13")
        for field in fields {
            try Self.check(field)
            writer.field(named: field.name, field.value)
        }
        writer.end()
        request = writer.bytes
        accept = WebSocketAccept.value(forKey: key)

        var parser = RequestHeadParser(limits: .builtIn)
        let progress = request.withUnsafeBytes { parser.append($0) }
        guard case .complete(let head, _) = progress else {
            throw LoadFault("“\(target.url)” makes no proper request")
        }
        do throws(UpgradeFault) {
            offered = try UpgradeRequest.judge(head)
        } catch {
            throw LoadFault("“\(target.url)” makes no proper request: \(error.sentence)")
        }
    }

    private static func fields(of dialing: LoadDialing) -> [LoadField] {
        var fields = dialing.fields
        if !dialing.subprotocols.isEmpty {
            let value = dialing.subprotocols.joined(separator: ", ")
            fields.append(LoadField(name: "Sec-WebSocket-Protocol", value: value))
        }
        if dialing.offersDeflate {
            let value =
                "permessage-deflate; client_no_context_takeover; server_no_context_takeover"
            fields.append(LoadField(name: "Sec-WebSocket-Extensions", value: value))
        }
        return fields
    }

    private static func check(_ field: LoadField) throws(LoadFault) {
        let separators = "\"(),/:;<=>?@[\\]{}"
        let isToken =
            !field.name.isEmpty
            && field.name.unicodeScalars.allSatisfy {
                (0x21...0x7E).contains($0.value) && !separators.unicodeScalars.contains($0)
            }
        let isValue = field.value.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }
        if !isToken || !isValue {
            throw LoadFault(
                "the field “\(field.name): \(field.value)” can't stand in a request: a name has letters, digits"
                    + " and hyphens, and a value has no control characters")
        }
    }

    /// What an answer means: nil when frames follow, else why they don't.
    func refusal(in head: ResponseHead) -> LoadRefusal? {
        switch UpgradeAnswer.judge(head, expectedAccept: accept, offered: offered) {
        case .switching(_, let subprotocol, _, let remark):
            if let remark { return LoadRefusal(.upgrade, remark) }
            if !subprotocols.isEmpty, subprotocol == nil {
                let names = subprotocols.joined(separator: ", ")
                return LoadRefusal(
                    .upgrade, "the server took none of the subprotocols offered (\(names))")
            }
            return nil
        case .unproven(let sentence), .invalid(let sentence):
            return LoadRefusal(.upgrade, sentence)
        case .ordinary, .informational:
            let reason = String(decoding: head.reason, as: UTF8.self)
            let told = head.fields.all("proxy-status").map { String(decoding: $0, as: UTF8.self) }
            let more = told.isEmpty ? "" : " (Proxy-Status: \(told.joined(separator: ", ")))"
            return LoadRefusal(
                .status(head.status), "the answer was \(head.status) \(reason)\(more)")
        }
    }

    /// Whether an answer that opens a WebSocket grants permessage-deflate, which alone may be asked for.
    func grantsDeflate(_ head: ResponseHead) -> Bool {
        guard offered.offersDeflate else { return false }
        return !head.fields.all("sec-websocket-extensions").isEmpty
    }

    /// The same for the answer to an extended CONNECT (RFC 8441 §5), which asks for no extension.
    func refusal(in answer: HTTP2Answer) -> LoadRefusal? {
        guard 200...299 ~= answer.status else {
            let more = answer.value(of: "proxy-status").map { " (Proxy-Status: \($0))" } ?? ""
            return LoadRefusal(.status(answer.status), "the answer was \(answer.status)\(more)")
        }
        let granted = answer.value(of: "sec-websocket-protocol")
        if let extensions = answer.value(of: "sec-websocket-extensions") {
            return Self.unasked(extensions, "sec-websocket-extensions")
        }
        if let granted, !subprotocols.contains(granted) {
            return Self.unasked(granted, "sec-websocket-protocol")
        }
        if granted == nil, !subprotocols.isEmpty {
            let names = subprotocols.joined(separator: ", ")
            return LoadRefusal(
                .upgrade, "the server took none of the subprotocols offered (\(names))")
        }
        return nil
    }

    private static func unasked(_ value: String, _ name: String) -> LoadRefusal {
        LoadRefusal(
            .upgrade, "the answer grants “\(value)”, which was not asked for (\(name))")
    }
}

/// Why an answer opens no WebSocket.
struct LoadRefusal {
    let cause: LoadCause
    let sentence: String

    init(_ cause: LoadCause, _ sentence: String) {
        self.cause = cause
        self.sentence = sentence
    }
}
