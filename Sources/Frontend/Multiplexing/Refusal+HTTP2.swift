// SPDX-License-Identifier: Apache-2.0
import HTTP2
import Wire

extension Refusal {
    /// An extended CONNECT asks for something else than a WebSocket (RFC 8441 §4, RFC 9220).
    static let otherProtocol = Refusal(
        status: 501, proxyError: .httpRequestError,
        sentence:
            "CONNECT asks for a protocol other than websocket, which is all that is served here.")

    /// A CONNECT asks for a tunnel to a host of the client's choice.
    static let plainConnect: Refusal = {
        var refusal = Refusal(
            status: 405, proxyError: .httpRequestError,
            sentence:
                "CONNECT asks for a tunnel to a host of its own choice, which is not served here.")
        refusal.extraFields = [("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")]
        return refusal
    }()

    /// What a head of HTTP/2 asks for holds a space or a control character.
    static let unsoundHead = Refusal(
        status: 400, proxyError: .httpRequestError,
        sentence: "The method, the path or the host holds a space or a control character.")

    /// A head of HTTP/2 has more than it may (RFC 6585 §5).
    init(tooLarge fault: HTTP2Head.Fault, _ limits: HeadLimits) {
        let sentence =
            switch fault {
            case .tooManyBytes:
                "The request head is longer than \(limits.bytesMax) bytes (limits.headBytes)."
            case .tooManyFields:
                "The request head has more than \(limits.fieldsMax) fields (limits.headFields)."
            }
        self.init(status: 431, proxyError: .httpRequestError, sentence: sentence)
    }
}
