// SPDX-License-Identifier: Apache-2.0
import Admin
import Frontend
import Glibc
import Ledger
import Log
import Reactor
import Synchronization

/// Takes over the live relays of the process before this one.
final class Arrivals: Sendable {
    /// How long the other may take for its next message: it may wait for sockets that settle, as long as it may be
    /// told to.
    private static let messageMilliseconds =
        Int32(AdminDefaults.settleMillisecondsMax + 60_000)

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
    ///
    /// Until then nothing is drained or upgraded here: what comes later would not know of it. Then the channel leads
    /// to the process before this one for as long as that lives.
    func serve(_ controller: Controller) {
        let parent = takeOver(controller) ? controller.predecessors.parent : nil
        if parent == nil { channel.end() }
        controller.arrivalsEnded()
        if count > 0 {
            let sockets = Count.words(count, "live socket", one: "goes", many: "go")
            controller.log.write(
                LogEvent(.info, "\(sockets) on here that the process before this one had."))
        }
        guard let parent else { return }
        channel.waitForEnd()
        parent.disconnect()
    }

    /// Takes relays over until there are no more; whether the other has said so.
    private func takeOver(_ controller: Controller) -> Bool {
        MoveStep.starting.reached()
        guard let answers = try? MoveAnswers(),
            channel.send(MoveMessage.hello.bytes, withinMilliseconds: 1_000)
        else { return false }
        MoveStep.ready.reached()
        while case .message(let bytes, let descriptors) = channel.receive(
            withinMilliseconds: Self.messageMilliseconds)
        {
            MoveStep.received.reached()
            switch MoveMessage(bytes) {
            case .relays(let count) where (1...MoveMessage.relaysMax).contains(count):
                let outcomes = take(descriptors, count, controller, answers)
                MoveStep.taken.reached()
                taken.wrappingAdd(outcomes.count { $0 == .taken }, ordering: .relaxed)
                let answer = MoveMessage.outcomes(outcomes.map { MoveMessage.Outcome($0) })
                // Where nobody hears it, those that were taken go on all the same: the other ends its part.
                guard channel.send(answer.bytes, withinMilliseconds: 5_000) else { return false }
                MoveStep.told.reached()
            case .finished:
                for descriptor in descriptors { close(descriptor) }
                let say = { [channel] in
                    controller.arrivalsEnded()
                    return channel.send(MoveMessage.finished.bytes, withinMilliseconds: 1_000)
                }
                guard let parent = controller.predecessors.parent else { return say() }
                return parent.connect(channel, saying: say)
            default:
                for descriptor in descriptors { close(descriptor) }
                return false
            }
        }
        return false
    }

    private func take(
        _ descriptors: [Int32], _ count: Int, _ controller: Controller, _ answers: MoveAnswers
    ) -> [TakeOver] {
        guard let relays = ImageFile.read(descriptors, count: count) else {
            // Nothing of them was touched.
            let reason = "their sockets or their states have not come whole"
            return [TakeOver](repeating: .refused(reason), count: count)
        }
        return controller.takeOver(relays, answers)
    }
}
