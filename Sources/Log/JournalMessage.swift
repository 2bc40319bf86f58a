// SPDX-License-Identifier: Apache-2.0
import Glibc
import Ledger
import Reactor
import TLS

/// One entry for systemd's journal in its native protocol: `NAME=value` lines in a datagram, values
/// that hold an end of line with their length in front (systemd.io/JOURNAL_NATIVE_PROTOCOL).
struct JournalMessage: ~Copyable {
    /// Where the journal listens.
    let path: String
    private let address: sockaddr_un?
    private var buffer = LineBuffer()
    private var text = LineBuffer()

    init(path: String) {
        self.path = path
        address = UnixDatagram.address(path)
    }

    /// Sends what was composed; 0, or why that failed.
    ///
    /// The socket is not connected: a journal that was started anew is found by its name. What is larger
    /// than a datagram is passed as memory that the journal reads.
    func send(on socket: Int32) -> Int32 {
        guard let address else { return ENAMETOOLONG }
        let code = UnixDatagram.send(buffer.bytes, to: address, on: socket)
        guard code == EMSGSIZE || code == ENOBUFS else { return code }
        return UnixDatagram.pass(buffer.bytes, to: address, on: socket)
    }

    /// Composes an event: its priority, and its sentence as the message.
    mutating func compose(_ event: LogEvent) {
        begin(priority: event.level.priority)
        field("MESSAGE", event.sentence)
    }

    /// Composes a record: the line for people as the message, and each part as a field.
    mutating func compose(_ record: AccessRecord) {
        begin(priority: 6)
        buffer.append("MESSAGE=")
        text.clear()
        LogLines.appendText(record, to: &text)
        buffer.append(text.bytes.assumingMemoryBound(to: UInt8.self))
        buffer.append("\nSLUICE_EVENT=")
        buffer.append(record.kind.word)
        buffer.append("\nSLUICE_CLIENT=")
        buffer.append(record.client)
        buffer.append("\nSLUICE_LISTENER=")
        buffer.append(record.listener)
        buffer.append("\n")
        if let relay = record.relay {
            buffer.append("SLUICE_RELAY=")
            buffer.append(relay)
            buffer.append("\n")
        }
        field("SLUICE_RELAY_NAME", record.relayName.description)
        field("SLUICE_TRACE_ID", record.traceName)
        if let tls = record.tls {
            field("SLUICE_TLS_VERSION", tls.version.description)
            if record.isHTTP2 { field("SLUICE_PROTOCOL", "h2") }
            field("SLUICE_TLS_CIPHER", tls.cipherName)
            field("SLUICE_TLS_SERVER_NAME", tls.serverName ?? "")
        }
        field("SLUICE_METHOD", record.method)
        field("SLUICE_HOST", record.host)
        field("SLUICE_PATH", record.path)
        field("SLUICE_UPGRADE", record.otherUpgrade)
        field("SLUICE_USER", record.user)
        field("SLUICE_ROUTE", record.route)
        field("SLUICE_UPSTREAM", record.upstream)
        field("SLUICE_STATUS", UInt64(clamping: record.status))
        field("SLUICE_MILLISECONDS", record.durationMilliseconds)
        field("SLUICE_ERROR", record.errorName)
        field("SLUICE_ACCESS", record.accessRule)
        field("SLUICE_DETAIL", record.detail)
        if record.kind == .opened { return }
        field("SLUICE_UP_MESSAGES", record.up.messages)
        field("SLUICE_UP_BYTES", record.up.bytes)
        field("SLUICE_DOWN_MESSAGES", record.down.messages)
        field("SLUICE_DOWN_BYTES", record.down.bytes)
        if record.kind == .ended { field("SLUICE_CLOSE_CODE", UInt64(record.closeCode)) }
        buffer.append("SLUICE_ENDED_BY=")
        buffer.append(record.initiator.word)
        buffer.append("\nSLUICE_REASON=")
        buffer.append(record.reasonWord)
        buffer.append("\n")
    }

    private mutating func begin(priority: UInt8) {
        buffer.clear()
        buffer.append("SYSLOG_IDENTIFIER=sluice\nPRIORITY=")
        buffer.append(UInt64(priority))
        buffer.append("\n")
    }

    private mutating func field(_ name: StaticString, _ number: UInt64) {
        buffer.append(name)
        buffer.append("=")
        buffer.append(number)
        buffer.append("\n")
    }

    /// Writes a field as it is, unless it is empty.
    private mutating func field(_ name: StaticString, _ value: String) {
        if value.isEmpty { return }
        buffer.append(name)
        if value.utf8.contains(UInt8(ascii: "\n")) {
            buffer.append("\n")
            buffer.append(littleEndian: UInt64(value.utf8.count))
        } else {
            buffer.append("=")
        }
        buffer.append(string: value)
        buffer.append("\n")
    }
}
