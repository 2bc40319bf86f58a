// SPDX-License-Identifier: Apache-2.0
import Frontend
import Glibc
import Ledger
import Log
import Reactor
import Synchronization

/// Takes over the live relays of the process before this one.
final class Arrivals: Sendable {
    /// How long the other may take for its next message: it is waiting for sockets that settle.
    private static let messageMilliseconds: Int32 = 60_000

    static let variable = "SLUICE_RELAYS"

    private let channel: MessageSocket
    private let taken = Atomic<Int>(0)

    /// The channel that this process was started with; nil where there is none.
    ///
    /// To be asked once: the variable is taken away.
    static func inherited() -> Arrivals? {
        defer { unsetenv(variable) }
        guard let text = getenv(variable).map({ String(cString: $0) }),
            let descriptor = Int32(text), descriptor > 2,
            let channel = MessageSocket(adopting: descriptor), channel.isOfThisUser
        else { return nil }
        return Arrivals(channel)
    }

    init(_ channel: MessageSocket) { self.channel = channel }

    /// How many were taken over.
    var count: Int { taken.load(ordering: .relaxed) }

    /// Says that relays may come, and takes them over until there are no more.
    func serve(_ frontend: Frontend, _ log: LogWriter) {
        defer {
            if count > 0 {
                let sockets = Count.words(count, "live socket", one: "goes", many: "go")
                log.write(
                    LogEvent(.info, "\(sockets) on here that the process before this one had."))
            }
        }
        guard channel.send(MoveMessage.hello.bytes, withinMilliseconds: 1_000) else { return }
        MoveStep.ready.reached()
        while case .message(let bytes, let descriptors) = channel.receive(
            withinMilliseconds: Self.messageMilliseconds)
        {
            MoveStep.received.reached()
            guard case .relays(let count)? = MoveMessage(bytes),
                (1...MoveMessage.relaysMax).contains(count),
                let relays = ImageFile.read(descriptors, count: count)
            else {
                if MoveMessage(bytes) == nil { for descriptor in descriptors { close(descriptor) } }
                return
            }
            let outcomes = frontend.takeOver(relays)
            MoveStep.taken.reached()
            taken.wrappingAdd(outcomes.count { $0 == .taken }, ordering: .relaxed)
            let answer = MoveMessage.outcomes(outcomes.map { MoveMessage.Outcome($0) })
            // Where nobody hears it, those that were taken go on all the same: the other ends its part.
            guard channel.send(answer.bytes, withinMilliseconds: 5_000) else { return }
            MoveStep.told.reached()
        }
    }
}
