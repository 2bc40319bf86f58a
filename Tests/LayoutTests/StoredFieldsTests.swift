// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

/// Goal: whatever a relay remembers goes along when it moves to another reactor or process.
///
/// Each stored property of the types that a relay is made of is written by one of the files that write fields, or stands
/// here with the reason why it need not be.
struct StoredFieldsTests {
    /// A type, where it is declared, who writes its fields, and what need not travel.
    struct Kind {
        let name: String
        let file: String
        let writers: [String]
        var spared: [String: String] = [:]
    }

    private static let relay = "Sources/Splice/Relay+Fields.swift"
    private static let session = "Sources/TLS/Sessions/TLSSession+Fields.swift"
    private static let image = "Sources/Frontend/Moving/RelayImage.swift"
    private static let mover = "Sources/Frontend/Moving/RelayMover.swift"

    private static let kinds = [
        Kind(
            name: "FrameScanner", file: "Sources/Wire/Frames/FrameScanner.swift",
            writers: ["Sources/Wire/Frames/FrameScanner+Fields.swift"],
            spared: [
                "tally": "the counters are the reactor's",
                "shortHeaderLength": "follows from the sender",
                "shortPayloadMax": "follows from messageBytesMax",
            ]),
        Kind(
            name: "RecordLayer", file: "Sources/TLS/Records/RecordLayer.swift", writers: [session],
            spared: [
                "isWriteClosed": "such a session stays", "isReadClosed": "such a session stays",
                "failure": "such a session stays", "peerAlert": "such a session stays",
            ]),
        Kind(
            name: "TrafficKey", file: "Sources/TLS/Records/TrafficKey.swift", writers: [session],
            spared: [
                "bytes": "the secret is written, the rest follows from it",
                "number": "names the key among those of its thread",
            ]),
        Kind(
            name: "TLSSession", file: "Sources/TLS/Sessions/TLSSession.swift", writers: [session],
            spared: [
                "ssl": "such a session stays", "buffers": "the reactor's",
                "tally": "counts what passes through OpenSSL's object",
                "aside": "sent before", "asideCount": "sent before",
            ]),
        Kind(
            name: "Leg", file: "Sources/Splice/Leg.swift", writers: [relay],
            spared: [
                "feed": "a stream stays",
                "flags": "such a relay stays, or the socket tells it anew",
            ]),
        Kind(
            name: "Relay", file: "Sources/Splice/Relay.swift", writers: [relay],
            spared: [
                "ending": "a relay that is ending stays",
                "closeText": "a relay that is ending stays",
                "hasClosingDeadline": "a relay that is ending stays",
                "stall": "a relay whose peer hangs up stays",
            ]),
        Kind(
            name: "Flow", file: "Sources/Splice/Flow.swift", writers: [relay],
            spared: [
                "pendingClose": "a relay that is ending stays", "tap": "taps are the reactor's",
                "state": "a relay of which one direction is not open stays",
                "isPaused": "found out again when the socket is read",
                "faults": "end with the move, and what they hold back is sent before",
            ]),
        Kind(
            name: "Meter", file: "Sources/Splice/RelayLimits.swift", writers: [relay]),
        Kind(
            name: "SharedRate", file: "Sources/Splice/SharedRate.swift",
            writers: ["Sources/Splice/SharedRate.swift"]),
        Kind(
            name: "Watch", file: "Sources/Splice/RelayRules.swift", writers: [relay],
            spared: ["tally": "the counters are the reactor's"]),
        Kind(name: "Probe", file: "Sources/Splice/RelayRules.swift", writers: [relay]),
        Kind(name: "RelayRules", file: "Sources/Splice/RelayRules.swift", writers: [relay]),
        Kind(name: "RoundTrip", file: "Sources/Ledger/RelayCounts.swift", writers: [relay]),
        Kind(
            name: "Tunnel", file: "Sources/Frontend/Tunnels/TunnelKeeper.swift",
            writers: [image, mover],
            spared: [
                "drain": "a relay that a drain has stays",
                "goesOnLater": "the sockets tell it anew",
                "wasRefused": "of this process alone",
            ]),
        Kind(
            name: "TunnelFacts", file: "Sources/Frontend/Tunnels/TunnelKeeper.swift",
            writers: [image, mover]),
        Kind(
            name: "ClientFacts", file: "Sources/Frontend/Sessions/ClientSession.swift",
            writers: [image, mover],
            spared: [
                "isCounted": "counted anew where clients are limited",
                "certificate": "a relay has none, but its user",
            ]),
        Kind(
            name: "Places", file: "Sources/Frontend/Upstreams/EndpointSearch.swift",
            writers: [image, mover],
            spared: [
                "line": "a relay waits for no place", "admitted": "the client, which is written",
            ]),
        Kind(
            name: "CountedTraffic", file: "Sources/Frontend/Metering/RouteMeter.swift",
            writers: [image]),
        Kind(name: "Agreed", file: "Sources/Splice/Tapping/Agreed.swift", writers: [image]),
        Kind(name: "TraceSpan", file: "Sources/Ledger/TraceSpan.swift", writers: [image]),
        Kind(name: "TLSFacts", file: "Sources/TLS/Sessions/TLSFacts.swift", writers: [image]),
        Kind(
            name: "Address", file: "Sources/Reactor/Addresses/Address.swift",
            writers: ["Sources/Reactor/Addresses/Address+Fields.swift"]),
    ]

    /// The names of the stored properties of a type.
    static func stored(of type: String, in text: String) -> [String] {
        var names: [String] = []
        var depth: Int?
        let opening = try? Regex("(struct|class) \(type)\\b").wordBoundaryKind(.simple)
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            if depth == nil, let opening, line.contains(opening), line.contains("{") {
                depth = 0
            } else if depth == 1, let name = property(String(line)) {
                names.append(name)
            }
            guard var inside = depth else { continue }
            inside += line.count { $0 == "{" } - line.count { $0 == "}" }
            if inside <= 0 { return names }
            depth = inside
        }
        return names
    }

    private static func property(_ line: String) -> String? {
        let words = line.split(separator: " ").map(String.init)
        guard let keyword = words.firstIndex(where: { $0 == "let" || $0 == "var" }),
            keyword + 1 < words.count, !words[..<keyword].contains("static"),
            words[..<keyword].allSatisfy({ $0.first?.isLetter == true || $0.hasPrefix("@") })
        else { return nil }
        // What has a body and no value is computed.
        if let brace = line.firstIndex(of: "{"), !line[..<brace].contains("=") { return nil }
        return String(words[keyword + 1].prefix { $0.isLetter || $0.isNumber || $0 == "_" })
    }

    @Test(arguments: kinds.indices)
    func `every stored property travels or stays for a reason`(index: Int) throws {
        let kind = Self.kinds[index]
        let root = Repository.root
        func text(_ path: String) throws -> String {
            try String(contentsOfFile: "\(root.path)/\(path)", encoding: .utf8)
        }
        let names = Self.stored(of: kind.name, in: try text(kind.file))
        #expect(!names.isEmpty, "\(kind.name) has no stored properties in \(kind.file)")
        let written = try kind.writers.map(text).joined()
        for name in names where kind.spared[name] == nil {
            // The simple kind: by Unicode's, what stands behind a dot begins no word.
            let word = try Regex("\\b\(name)\\b").wordBoundaryKind(.simple)
            #expect(
                written.contains(word),
                "\(kind.name).\(name) does not travel: write it in \(kind.writers[0]), or say here why not"
            )
        }
        for name in kind.spared.keys.sorted() {
            #expect(names.contains(name), "\(kind.name) has no \(name) any more")
        }
    }

    @Test func `a property that nobody writes is found`() {
        let text = """
            struct Sample: Sendable {
                static let count = 3
                let first: Int
                private(set) var second = 0
                var computed: Int { first }
                func act() {
                    let local = 1
                }
                var third: (Int, Int) = (0, 0)
            }
            struct Other { let no: Int }
            """
        #expect(Self.stored(of: "Sample", in: text) == ["first", "second", "third"])
    }
}
