// SPDX-License-Identifier: Apache-2.0
import Wire

/// What the app was told of the way on which a socket came, for a page that asks.
///
/// The app speaks plain ws and sees no TLS. A proxy in front may tell it in fields of the opening handshake,
/// and scripts cannot read those. So the page offers a subprotocol, in which the first message is what the
/// fields said, and every other one is an echo. Clients that do not offer it get echoes alone.
enum ConnectionNote {
    /// The subprotocol (RFC 6455 §1.9), in lower case.
    static let subprotocol = "connection-note.echo.sluice"

    /// Fields that are passed on, as Sluice's quick mode sets them.
    static let fields = ["x-tls-version", "x-tls-cipher", "x-tls-group", "x-tls-alpn"]

    /// Whether the client wants to be told.
    static func isWanted(by head: RequestHead) -> Bool {
        head.fields.listContains("sec-websocket-protocol", token: subprotocol)
    }

    /// A text frame with a line `name: value` for each field that came once, without those that did not.
    static func frame(for head: RequestHead) -> [UInt8] {
        var text = ""
        for name in fields where head.fields.count(of: name) == 1 {
            // The decoder repairs what is no UTF-8, which a text frame may not hold (RFC 6455 §5.6).
            text += "\(name): \(head.fields.string(name) ?? "")\n"
        }
        let payload = Array(text.utf8)
        return FrameHeader(opcode: .text, payloadLength: UInt64(payload.count)).encoded() + payload
    }
}
