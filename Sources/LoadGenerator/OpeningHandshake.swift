// SPDX-License-Identifier: Apache-2.0
import HTTP2
import TLS
import Wire

/// The upgrade request of a run, and what answers it.
///
/// All connections of a run send the same one: its key is drawn once, since the answer is checked
/// the same and only the load generator's own time would go into drawing more.
struct OpeningHandshake: Sendable {
    let request: [UInt8]
    private let offered: UpgradeRequest
    private let accept: [UInt8]

    init(target: LoadTarget) throws(LoadFault) {
        let key = WebSocketAccept.makeKey()
        var writer = HeadWriter()
        writer.requestLine("GET", target: Array(target.target.utf8))
        writer.field("Host", target.authority)
        writer.field("Upgrade", "websocket")
        writer.field("Connection", "Upgrade")
        writer.field("Sec-WebSocket-Key", key)
        writer.field("Sec-WebSocket-Version", "13")
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

    /// What an answer means: nil when frames follow, else why they don't.
    func refusal(in head: ResponseHead) -> String? {
        switch UpgradeAnswer.judge(head, expectedAccept: accept, offered: offered) {
        case .switching: nil
        case .unproven(let sentence), .invalid(let sentence): sentence
        case .ordinary, .informational:
            "the answer was \(head.status) \(String(decoding: head.reason, as: UTF8.self))"
        }
    }

    /// The same for the answer to an extended CONNECT (RFC 8441 §5), which asks for no extension and no
    /// subprotocol.
    func refusal(in answer: HTTP2Answer) -> String? {
        guard 200...299 ~= answer.status else { return "the answer was \(answer.status)" }
        for name in ["sec-websocket-extensions", "sec-websocket-protocol"] {
            if let value = answer.value(of: name) {
                return "the answer grants “\(value)”, which was not asked for (\(name))"
            }
        }
        return nil
    }
}
