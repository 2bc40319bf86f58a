// SPDX-License-Identifier: Apache-2.0
import Admin
import ArgumentParser
import Foundation
import Ledger
import Reactor
import Service
import Tap

/// `sluice tap`: the frames of live sockets, as they pass.
struct TapCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tap",
        abstract: "Show the frames of a running Sluice, decrypted.",
        usage: """
            sluice tap
            sluice tap --route /chat --opcode text,close
            sluice tap --relay 0-12-3 --max-bytes 200
            sluice tap --record frames.jsonl
            sluice tap --har sockets.har
            """,
        discussion: """
            Prints a line for each frame that passes: seconds since the tap began, the relay's id, \
            who sent it to whom, its opcode, its length and its payload, unmasked, inflated where \
            it is compressed (permessage-deflate), text as text and the rest in hex. Frames of \
            Sluice's own, as its Pings, are from or to sluice. It ends with Ctrl-C, or with the \
            relay of --relay.

            Payloads are shown only if the configuration says so (admin: { tap: payloads }; in \
            quick mode --tap payloads), since whoever sees them sees the users' secrets; times, \
            lengths and opcodes are shown unless it says off. Only the user that Sluice runs as, \
            and root, may tap.

            A tap never slows a socket: what it is too slow for is lost, and counted. One that \
            begins amid a compressed socket shows a message as it is until one no longer refers to \
            what went before. --record and --har write to files that only you may read; what the \
            lines of a record mean is in docs/tap.md. Query strings, and header fields but for the \
            subprotocol and the extensions that were agreed on, are in neither. The messages of \
            --har wait in memory for its end, so at 128 MiB of them the tap ends.
            """ + ExitCodes.help("tap"))

    @OptionGroup var options: AdminOptions

    @Option(
        help: ArgumentHelp("Only relays of this route, as status names it.", valueName: "route"))
    var route: String?

    @Option(
        help: ArgumentHelp(
            "Only the relay of this id or name, as status --relays or the access log has it.",
            valueName: "id"))
    var relay: String?

    @Option(
        help: ArgumentHelp(
            "Only relays of this client: its address (192.0.2.7), or address and port (192.0.2.7:4711).",
            valueName: "address"))
    var client: String?

    @Option(
        help: ArgumentHelp(
            "Only what is on the connection to the client, or to the upstream; a frame that is relayed is on both.",
            valueName: "client|upstream"))
    var side: String?

    @Option(
        help: ArgumentHelp(
            "Only frames of these messages: text, binary, close, ping, pong, with commas between.",
            valueName: "opcode"))
    var opcode: String?

    @Option(
        name: .customLong("max-bytes"), parsing: .unconditional,
        help: ArgumentHelp(
            "So many bytes of each payload at most, 0 for none. (default: 1024; with --record or --har 1048576)",
            valueName: "n"),
        transform: { try Number.read("--max-bytes", $0, 0...TapLimits.payloadBytesMax) })
    var maxBytes: Int?

    @Option(
        help: ArgumentHelp(
            "Write JSON lines to this file instead, - for standard output.", valueName: "file"))
    var record: String?

    @Option(
        help: ArgumentHelp(
            "Write the messages to this file at the end, as the HAR of Chromium's developer tools; - for standard output.",
            valueName: "file"))
    var har: String?

    /// Refuses what names nothing.
    func validate() throws {
        if let relay, RelayReference(relay) == nil {
            throw ValidationError(
                "--relay takes the id of a relay, as `sluice status --relays` lists it (0-12-3), or the"
                    + " name that {relay} tells its app, found \(relay).")
        }
        if let client, ClientName(client) == nil {
            throw ValidationError("--client takes \(ClientName.allowed), found \(client).")
        }
        if let side, side != "client", side != "upstream" {
            throw ValidationError("--side takes client or upstream, found \(side).")
        }
        for word in opcode?.split(separator: ",", omittingEmptySubsequences: false) ?? [] {
            let isKnown = TapRecord.opcodeNames.contains { $0.value == word && $0.key != 0 }
            guard isKnown else {
                throw ValidationError(
                    "--opcode takes text, binary, close, ping and pong, with commas between, found"
                        + " \(word.isEmpty ? "nothing" : word). A continuation goes with its message."
                )
            }
        }
        if record == "-" && har == "-" {
            throw ValidationError("--record - and --har - would mix: give a file to one of them.")
        }
        if let record, record != "-", record == har {
            throw ValidationError("--record and --har name the same file: give each its own.")
        }
    }

    private var payloadBytes: Int {
        maxBytes ?? (record == nil && har == nil ? 1_024 : TapLimits.payloadBytesMax)
    }

    private var target: String {
        let fields = [
            ("route", route), ("relay", relay), ("client", client), ("side", side),
            ("opcode", opcode), ("maxBytes", String(payloadBytes)),
        ]
        let unreserved = CharacterSet.alphanumerics.union(CharacterSet(charactersIn: "-._~"))
        let query = fields.compactMap { name, value in
            value?.addingPercentEncoding(withAllowedCharacters: unreserved).map { "\(name)=\($0)" }
        }
        return "/tap?" + query.joined(separator: "&")
    }

    /// Shows or writes what passes until it is told to stop.
    func run() throws {
        let peer = try options.peer(to: .look)
        peer.tellOfOthers()
        let stop = try TapStop()
        let printer = try TapPrinter(
            record: record, har: har, payloadBytes: payloadBytes, isSilent: maxBytes == 0)
        let isOver = { stop.isWanted || Output.isUnread || printer.isFull }
        let end: AdminStoryEnd
        do {
            end = try peer.story(target, until: isOver) { line in
                // What came along with the last line that there was room for.
                if printer.isFull { return }
                guard let record = TapRecord(line: line) else {
                    throw Complaint(
                        "What the Sluice tells can't be read: it has another version than this program."
                    )
                }
                try printer.take(record)
            }
        } catch {
            // What was told until then is written all the same.
            if printer.hasBegun { try? printer.finish() }
            throw error
        }
        try printer.finish()
        switch end {
        case .whole, .left: break
        case .cut: throw Complaint("The process of Sluice that was listened to is gone.")
        case .refused: break
        }
    }
}

/// What the server allows.
enum TapLimits {
    static let payloadBytesMax = 1 << 20
}
