// SPDX-License-Identifier: Apache-2.0
import TLS
import Wire

/// The opening handshake of a dashboard's WebSocket (RFC 6455 §4.2).
enum LiveOpening {
    /// The 101 to a request for it, which the gate has let in.
    static func answer(to message: AdminMessage) throws(AdminRefusal) -> [UInt8] {
        let request: UpgradeRequest
        do throws(UpgradeFault) {
            request = try UpgradeRequest.judge(message.head)
        } catch {
            throw AdminRefusal(error.status, error.sentence)
        }
        if request.target.query != nil {
            throw AdminRefusal(
                400,
                "A WebSocket is told what to show by a message, as {\"filter\":\"/chat\",\"sort\":\"newest\"}, and not by"
                    + " a query.")
        }
        // RFC 6455 §4.1: a client waits for the answer.
        if message.bytesBehind > 0 {
            throw AdminRefusal(400, "Frames may not be sent before the answer.")
        }
        var writer = HeadWriter()
        writer.statusLine(101)
        writer.field("Upgrade", "websocket")
        writer.field("Connection", "Upgrade")
        writer.field("Sec-WebSocket-Accept", WebSocketAccept.value(forKey: request.key))
        writer.field("Server", AdminProcess.serverName)
        writer.field(AdminProcess.fieldName, AdminProcess.own)
        writer.end()
        return writer.bytes
    }
}
