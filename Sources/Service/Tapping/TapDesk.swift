// SPDX-License-Identifier: Apache-2.0
import Admin
import Config
import Foundation
import Frontend
import Glibc
import Ledger
import Log
import Reactor
import Splice
import Tap

/// Answers those who want to be told of the frames of live relays.
struct TapDesk: Sendable {
    let controller: Controller

    private struct Refusal: Error {
        let status: Int
        let sentence: String

        init(_ status: Int, _ sentence: String) {
            self.status = status
            self.sentence = sentence
        }
    }

    /// What is told until whoever asked goes; or why nothing is.
    func answer(_ wish: AdminWish, _ request: AdminRequest) -> AdminAnswer {
        do throws(Refusal) {
            let level = try level(for: request.user)
            let wanted = try self.wish(wish, level)
            let relay = try Self.relay(wish.query["relay"])
            if request.method == "HEAD" { return AdminAnswer(text: "A tap may begin.") }
            let begun = try listen(wanted, to: relay)
            // Read again: a reload in between has not seen this one.
            if controller.state.configuration.admin.tap != level {
                begun.tap.leave()
                throw Refusal(503, "The configuration changes just now: ask again.")
            }
            tell(of: begun.wish, level, by: request.user)
            let story = TapStory(begun.tap, only: begun.wish.relay)
            return AdminAnswer(type: "application/jsonl") { outlet in
                story.tell(begun.news, to: outlet)
                begun.tap.leave()
            }
        } catch {
            return AdminAnswer(status: error.status, text: error.sentence)
        }
    }

    /// A tap that has begun, and what it was told at once.
    private struct Begun {
        let tap: FrameTap
        let wish: TapWish
        let news: [(worker: Int, news: TapNews)]
    }

    /// Begins one, for one relay where one is named.
    private func listen(
        _ wanted: TapWish, to relay: RelayReference?
    ) throws(Refusal) -> Begun {
        guard let relay else {
            let tap = try begin(wanted)
            return Begun(tap: tap, wish: wanted, news: tap.take())
        }
        let reached = controller.reach(relay) { id -> Result<Begun, Refusal>? in
            do throws(Refusal) {
                return try listen(wanted, to: id).map { .success($0) }
            } catch {
                return .failure(error)
            }
        }
        switch reached {
        case .asked(let begun): return try begun.get()
        case .silent: throw Refusal(503, "The relay's reactor did not answer in time.")
        case .moving: throw Refusal(503, Controller.relayMoves)
        case .nowhere:
            throw Refusal(
                404,
                "There is no relay \(relay): it has ended, or never was. `sluice status --relays` lists"
                    + " those that live." + controller.drainsElsewhere)
        }
    }

    /// Begins one for the relay of this ID; nil where there is none.
    private func listen(_ wanted: TapWish, to relay: RelayID) throws(Refusal) -> Begun? {
        var wish = wanted
        wish.relay = relay
        let tap = try begin(wish)
        let news = tap.take()
        if Self.begins(relay, in: news) { return Begun(tap: tap, wish: wish, news: news) }
        tap.leave()
        return nil
    }

    private func begin(_ wanted: TapWish) throws(Refusal) -> FrameTap {
        do throws(TapFault) {
            return try controller.frontend.tap(wanted)
        } catch {
            switch error {
            case .full:
                throw Refusal(
                    503,
                    "There are \(TapTable.tapsMax) taps already, which is as many as may listen at one time: end"
                        + " one of them.")
            case .silent:
                throw Refusal(
                    503,
                    "A reactor does not answer, so not all relays would be told of: ask again later."
                )
            }
        }
    }

    private static func begins(_ relay: RelayID, in news: [(worker: Int, news: TapNews)]) -> Bool {
        news.contains {
            if case .begun(let begun) = $0.news { begun.id == relay } else { false }
        }
    }

    // MARK: Who may

    /// What that user may be told.
    private func level(for user: UInt32?) throws(Refusal) -> TapLevel {
        guard let user else {
            throw Refusal(
                403,
                "Frames are told at the admin socket (admin.socket) alone, since everybody on this machine may"
                    + " use admin.address.")
        }
        guard user == geteuid() || user == 0 else {
            throw Refusal(
                403, "Frames are told to the user alone that Sluice runs as, and to root.")
        }
        let level = controller.state.configuration.admin.tap
        guard level != .off else {
            throw Refusal(
                403, "admin.tap is off: nothing is told of frames. Set it to headers or payloads.")
        }
        return level
    }

    /// Ends the taps that are told more than a configuration allows.
    static func endForbidden(_ frontend: Frontend, by level: TapLevel) {
        for tap in frontend.frameTaps {
            if level == .off || level == .headers && tap.scope.payloadBytes > 0 {
                tap.end(because: "A reload has set admin.tap to \(level.rawValue).")
            }
        }
    }

    /// Ends all taps: nothing passes any more.
    static func endAll(_ frontend: Frontend) {
        for tap in frontend.frameTaps { tap.end(because: "Sluice has stopped.") }
    }

    /// Who reads what others say leaves a trace.
    private func tell(of wish: TapWish, _ level: TapLevel, by user: UInt32?) {
        let what = wish.scope.payloadBytes > 0 ? "with payloads" : "headers alone"
        let whose =
            wish.relay.map { "relay \($0)" } ?? wish.route.map { "route \($0)" } ?? "all routes"
        controller.log.write(
            LogEvent(
                .info,
                "A tap listens to \(whose), \(what), for the user \(user.map(String.init) ?? "-").")
        )
    }

    // MARK: What is wanted

    private func wish(_ wish: AdminWish, _ level: TapLevel) throws(Refusal) -> TapWish {
        var wanted = TapWish()
        let query = wish.query
        if let text = query["route"] {
            let names = ServedNames(
                controller.state.assembly, drained: controller.frontend.drained)
            // One that a reload has taken out may have live relays.
            let isLeft = controller.state.assembly.routing.departedCounts.contains {
                $0.name == text
            }
            guard let route = names.route(text) ?? (isLeft ? text : nil) else {
                throw Refusal(404, names.noRoute(text))
            }
            wanted.route = route
        }
        if let text = query["client"] {
            guard let name = ClientName(text) else {
                throw Refusal(400, "A client is \(ClientName.allowed): found \(text).")
            }
            wanted.client = name.host
            wanted.clientPort = name.port
        }
        switch query["side"] {
        case nil: break
        case "client": wanted.scope.legs = .client
        case "upstream": wanted.scope.legs = .upstream
        case let side?: throw Refusal(400, "side is client or upstream: found \(side).")
        }
        if let text = query["opcode"] { wanted.scope.opcodes = try Self.opcodes(text) }
        if level == .payloads {
            wanted.scope.payloadBytes = wish.number("maxBytes") ?? TapScope.payloadBytesMax
        }
        return wanted
    }

    private static func relay(_ text: String?) throws(Refusal) -> RelayReference? {
        guard let text else { return nil }
        if let relay = RelayReference(text) { return relay }
        throw Refusal(
            400, "relay is the id of a relay, as 0-12-3, or its name: found \(text).")
    }

    private static func opcodes(_ text: String) throws(Refusal) -> UInt16 {
        var bits: UInt16 = 0
        for word in text.split(separator: ",", omittingEmptySubsequences: false) {
            let number = TapRecord.opcodeNames.first { $0.value == word }?.key
            guard let number, number != 0 else {
                throw Refusal(
                    400,
                    "opcode is one or more of text, binary, close, ping and pong, with commas between: found"
                        + " \(word).")
            }
            bits |= 1 << UInt16(number)
        }
        return bits
    }
}
