// SPDX-License-Identifier: Apache-2.0
public import Reactor
import Synchronization
import TLS

/// What became of a password.
public enum PasswordVerdict: Sendable {
    case right, wrong
    /// It could not be hashed.
    case unknown
}

/// Where passwords are hashed: on one thread beside the reactors, which would stand still meanwhile.
///
/// There is a thread only while something is to be hashed. How many wait is bounded, also those of one client, and
/// whoever asks the same at the same time is told together. Clients take turns: who has many waiting delays another by
/// one of them.
public final class PasswordDesk: Sendable {
    /// Passwords that may wait.
    public static let waitingMax = 256
    /// Different passwords of one client that may wait.
    public static let waitingOfClientMax = 8

    /// What became of a question.
    public enum Outcome: Sendable {
        /// The answer follows.
        case taken
        /// As many wait as may; of everybody or of that client.
        case full, clientHasTooMany
        /// There is no thread to be had.
        case noThread
    }

    private struct Asked {
        let question: PasswordQuestion
        let client: Address
        var answers: [@Sendable (PasswordVerdict) -> Void]
    }

    private struct Name: Hashable {
        let list: ObjectIdentifier
        let digest: KeyedDigest

        init(_ question: PasswordQuestion) {
            list = ObjectIdentifier(question.list)
            digest = question.digest
        }
    }

    private struct State {
        /// What waits, by whose it is.
        var lines: [Address: [Name]] = [:]
        /// Whose turn it is, each client once that has something waiting.
        var turns: [Address] = []
        /// Those that wait and the one that is being hashed.
        var asked: [Name: Asked] = [:]
        var ofClients: [Address: Int] = [:]
        var isRunning = false

        mutating func remove(_ name: Name) -> Asked? {
            guard let asked = asked.removeValue(forKey: name) else { return nil }
            let left = (ofClients[asked.client] ?? 1) - 1
            ofClients[asked.client] = left > 0 ? left : nil
            return asked
        }

        /// Puts a question behind the client's others.
        mutating func append(_ name: Name, of client: Address) {
            if lines[client] == nil { turns.append(client) }
            lines[client, default: []].append(name)
        }

        /// Takes what is to be hashed next: the first of the client whose turn it is.
        mutating func next() -> Name? {
            guard !turns.isEmpty else { return nil }
            let client = turns.removeFirst()
            guard var line = lines.removeValue(forKey: client), !line.isEmpty else { return nil }
            let name = line.removeFirst()
            if !line.isEmpty {
                lines[client] = line
                turns.append(client)
            }
            return name
        }

        /// Takes away all that waits, where nobody will hash it.
        mutating func removeAll() -> [(Name, Asked)] {
            let left = lines.values.joined().compactMap { name in remove(name).map { (name, $0) } }
            lines = [:]
            turns = []
            isRunning = false
            return left
        }
    }

    private let startThread: @Sendable (@escaping @Sendable () -> Void) -> Bool
    private let state = Mutex(State())

    /// A desk at which nobody waits.
    public convenience init() {
        self.init { run in
            do throws(SystemError) {
                _ = try ReactorThread.start(name: "sluice-passwd", body: run)
                return true
            } catch {
                return false
            }
        }
    }

    /// A desk whose thread is started by a function, which says whether there was one to be had.
    init(startThread: @escaping @Sendable (@escaping @Sendable () -> Void) -> Bool) {
        self.startThread = startThread
    }

    /// How many passwords wait or are being hashed.
    public var count: Int { state.withLock { $0.asked.count } }

    /// Has a password hashed.
    ///
    /// - Parameters:
    ///   - question: what is asked.
    ///   - client: who asks; those of one subscriber are counted together.
    ///   - answer: is called on the desk's thread with the verdict, and must not block.
    /// - Returns: whether `answer` will be called; with any other outcome than `taken` it is not.
    public func ask(
        _ question: PasswordQuestion, for client: Address,
        answer: @escaping @Sendable (PasswordVerdict) -> Void
    ) -> Outcome {
        let name = Name(question)
        let client = client.subscriber
        var hasToStart = false
        let outcome = state.withLock { state in
            if state.asked[name] != nil {
                state.asked[name]?.answers.append(answer)
                return Outcome.taken
            }
            if state.asked.count >= Self.waitingMax { return .full }
            let waiting = state.ofClients[client, default: 0]
            if waiting >= Self.waitingOfClientMax { return .clientHasTooMany }
            state.ofClients[client] = waiting + 1
            state.asked[name] = Asked(question: question, client: client, answers: [answer])
            state.append(name, of: client)
            hasToStart = !state.isRunning
            state.isRunning = true
            return .taken
        }
        if hasToStart && !start(for: name) { return .noThread }
        return outcome
    }

    /// Starts the thread; where there is none to be had, those who have come meanwhile are told so, and also those who
    /// have asked the same as the one that is told by the outcome.
    private func start(for own: Name) -> Bool {
        if startThread({ [self] in run() }) { return true }
        for (name, asked) in state.withLock({ $0.removeAll() }) {
            for answer in asked.answers.dropFirst(name == own ? 1 : 0) { answer(.unknown) }
        }
        return false
    }

    private func run() {
        // Frames and handshakes go first where cores are short.
        ReactorThread.yieldToOthers()
        let room = CryptRoom()
        while let (name, question) = next() {
            let isRight = question.list.known(question) ?? question.list.judge(question, room)
            let answers = state.withLock { $0.remove(name)?.answers } ?? []
            for answer in answers { answer(isRight ? .right : .wrong) }
        }
    }

    private func next() -> (Name, PasswordQuestion)? {
        state.withLock { state in
            while let name = state.next() {
                if let asked = state.asked[name] { return (name, asked.question) }
            }
            state.isRunning = false
            return nil
        }
    }
}
