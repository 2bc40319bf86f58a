// SPDX-License-Identifier: Apache-2.0
import Frontend
import Glibc
import Ledger
import Log
import Reactor

/// Ending relays, wherever they are: here, or in a process before this one.
extension Controller {
    /// What has become of the wish to end one relay.
    enum OneEnded {
        case told
        case isEnding
        case nowhere
        /// Its reactor did not answer in time.
        case silent
        /// It may be on its way from one process to another.
        case moving
        /// These processes, which drain sockets, did not answer in time.
        case silentBefore([Int32])
    }

    /// Ends one relay with a Close.
    func end(_ relay: RelayReference, code: UInt16) -> OneEnded {
        switch endHere(relay, code: code) {
        case .asked(.told?): return .told
        case .asked(.isEnding?): return .isEnding
        case .asked(nil), .silent: return .silent
        case .moving: return .moving
        case .nowhere, .asked(.noRelay?): break
        }
        let before = predecessors.end(.one("\(relay)", code: code))
        if before.told > 0 { return .told }
        if before.isEnding { return .isEnding }
        return before.silent.isEmpty ? .nowhere : .silentBefore(before.silent)
    }

    private func endHere(
        _ relay: RelayReference, code: UInt16
    ) -> Frontend.Reached<EndedRelay?> {
        reach(relay) { id -> EndedRelay?? in
            let end = frontend.end(id, code: code)
            return end == .noRelay ? nil : .some(end)
        }
    }

    /// What has become of the wish to end all relays that a filter lets pass.
    enum AllEnded {
        /// So many were told.
        case told(Int)
        /// A reactor did not answer in time; some may have been told.
        case silent
        /// So many were told; these processes, which drain sockets, did not answer in time.
        case silentBefore([Int32], told: Int)
        /// Relays are on their way to another process, so nothing was done.
        case moving
    }

    /// Ends all relays that a filter lets pass with a Close.
    func end(_ filter: RelayFilter, code: UInt16, reason: String) -> AllEnded {
        // None goes from reactor to reactor meanwhile, and so past the look at them.
        let ended = unlessUpgrading { () -> Int?? in
            // Another process may have them by now.
            if state.untaken != nil { return nil }
            return .some(frontend.end(filter, code: code, reason: reason))
        }
        guard case .some(.some(let here)) = ended else { return .moving }
        guard let here else { return .silent }
        let before = predecessors.end(.all(filter, code: code, reason: reason))
        let told = here + before.told
        return before.silent.isEmpty ? .told(told) : .silentBefore(before.silent, told: told)
    }

    /// What is said where there is no relay here, and a process before this one may have it; empty where all have
    /// ended.
    var drainsElsewhere: String {
        let processes = predecessors.present.map(\.process)
        if processes.isEmpty { return "" }
        return
            " \(Self.before(processes)) sockets: they can be closed from here, and nothing else."
    }

    /// Who drains sockets, as the beginning of a sentence.
    static func before(_ processes: [Int32]) -> String {
        guard processes.count > 1, let last = processes.last else {
            return "Process \(processes.first ?? 0), which has served before this one, still drains"
        }
        let names = processes.dropLast().map(String.init).joined(separator: ", ") + " and \(last)"
        return "Processes \(names), which have served before this one, still drain"
    }

    // MARK: In the process that drains

    /// Ends relays for the process that has taken over, for as long as this one lives.
    func serve(_ channel: MessageSocket) {
        do throws(SystemError) {
            _ = try ReactorThread.start(name: "sluice-rest") { [self] in
                while true {
                    switch channel.receive(withinMilliseconds: 60_000) {
                    case .nothing: continue
                    case .ended: return
                    case .message(let bytes, let descriptors):
                        for descriptor in descriptors { close(descriptor) }
                        guard case .end(let errand, let number)? = MoveMessage(bytes) else {
                            continue
                        }
                        let answer = MoveMessage.ended(obey(errand), number: number)
                        // Whoever does not read it now may ask again: only a closed channel is the end.
                        _ = channel.send(answer.bytes, withinMilliseconds: 1_000)
                    }
                }
            }
        } catch {
            channel.end()
            log.write(
                LogEvent(
                    .warning,
                    "The sockets that stay here can't be closed from the new process: \(error.description)."
                ))
        }
    }

    private func obey(_ errand: EndErrand) -> EndErrand.Outcome {
        switch errand {
        case .one(let text, let code):
            guard let relay = RelayReference(text) else { return .told(0) }
            switch endHere(relay, code: code) {
            case .asked(.told?):
                logTold(1, code)
                return .told(1)
            case .asked(.isEnding?): return .isEnding
            case .asked(.noRelay?), .nowhere: return .told(0)
            case .asked(nil), .silent, .moving: return .silent(process: getpid())
            }
        case .all(let filter, let code, let reason):
            let count = frontend.end(filter, code: code, reason: reason)
            if let count, count > 0 { logTold(count, code) }
            return count.map { .told($0) } ?? .silent(process: getpid())
        }
    }

    private func logTold(_ count: Int, _ code: UInt16) {
        let whom = Count.words(count, "relay", one: "was", many: "were")
        log.write(
            LogEvent(.info, "\(whom) told \(code), as the process that has taken over asked for."))
    }
}
