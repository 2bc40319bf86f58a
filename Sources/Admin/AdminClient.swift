// SPDX-License-Identifier: Apache-2.0
public import Foundation
import Glibc
public import Reactor
import Wire

/// Asks a running Sluice through its admin socket.
public struct AdminClient: Sendable {
    /// The process's admin socket: a unix socket's path, or an address on loopback.
    public let address: Address
    /// The token that goes along, by which changes are allowed; nil for none.
    private let token: [UInt8]?

    /// A client of the process that serves there; with the token of `admin.token`, where that is needed.
    public init(_ address: Address, token: [UInt8]? = nil) {
        self.address = address
        self.token = token
    }

    /// Whether somebody takes connections at an address.
    public static func answers(_ address: Address) -> Bool {
        Knock.failure(address, withinMilliseconds: 1_000) == nil
    }

    /// The process that listens at a unix socket; nil where nobody does (unix(7), SO_PEERCRED).
    public static func process(at address: Address) -> Int32? {
        guard address.isUnix, let descriptor = try? Knock.open(address) else { return nil }
        defer { close(descriptor) }
        // `struct ucred`, which glibc's headers show to programs of C alone.
        var peer: (pid: pid_t, uid: uid_t, gid: gid_t) = (0, 0, 0)
        var length = socklen_t(MemoryLayout.size(ofValue: peer))
        guard getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 else {
            return nil
        }
        return peer.pid
    }

    /// Whether a process of this number has ended, or is not there (proc_pid_stat(5): Z, X).
    public static func hasEnded(_ process: Int32) -> Bool {
        if kill(process, 0) != 0 && errno == ESRCH { return true }
        return AdminFault.condition(of: process).map { $0 == "Z" || $0 == "X" } ?? false
    }

    /// How long nothing may come before the process is asked whether it still turns.
    static let silenceMilliseconds: UInt64 = 3_000
    /// How long that may take.
    static let healthMilliseconds: UInt64 = 7_000

    /// Sends a request and waits for the answer.
    ///
    /// However long that takes, as of an upgrade, where the process answers a question about its health meanwhile.
    ///
    /// - Throws: `AdminFault` when nobody answers, or not in HTTP.
    public func send(
        _ method: String, _ target: String, body: Data? = nil
    ) throws(AdminFault) -> AdminReply {
        let stream = try connect()
        try ask(method, target, body: body, on: stream)
        var parser = ResponseHeadParser(limits: .builtIn)
        var found: ResponseHead?
        var answer = Data()
        while let bytes = try next(of: stream) {
            if found != nil {
                answer.append(contentsOf: bytes)
                continue
            }
            switch bytes.withUnsafeBytes({ parser.append($0) }) {
            case .needsMore: continue
            case .failed(let fault): throw .foreign(address, fault.sentence)
            case .complete(let head, let consumed):
                found = head
                answer.append(contentsOf: bytes.dropFirst(consumed))
            }
        }
        guard let found else { throw .unanswered(address) }
        return AdminReply(found, body: answer)
    }

    /// Sends a request.
    func ask(
        _ method: String, _ target: String, body: Data? = nil, on stream: borrowing AdminStream
    ) throws(AdminFault) {
        var writer = HeadWriter()
        writer.append(Array("\(method) \(target) HTTP/1.1\r\n".utf8))
        writer.field("Host", "localhost")
        if let token { writer.field("Authorization", Array("Bearer ".utf8) + token) }
        if let body { writer.field("Content-Length", String(body.count)) }
        writer.field("Connection", "close")
        writer.end()
        let deadline = Clock.nowMilliseconds() + Self.silenceMilliseconds + Self.healthMilliseconds
        guard stream.send(writer.bytes + Array(body ?? Data()), until: deadline) else {
            throw AdminFault("The connection to \(address) ended before the request was sent.")
        }
    }

    static let naming = "Name the right socket with --admin."

    /// That an answer is none of Sluice's, and whose it seems to be.
    public func foreign(_ reply: AdminReply) -> AdminFault {
        let server = reply.server.map { ", with Server: \($0)" } ?? ", without a Server field"
        return AdminFault(
            "What answers at \(address) is no admin socket of Sluice: it answered"
                + " \(reply.status)\(server).\(reply.words.map { " It says: \($0)" } ?? "")"
                + " \(Self.naming)")
    }

    /// What comes next; nil at the end.
    ///
    /// - Throws: `AdminFault` when nothing comes, and the process does not answer other questions either.
    private func next(of stream: borrowing AdminStream) throws(AdminFault) -> [UInt8]? {
        while true {
            let end = Clock.nowMilliseconds() + Self.silenceMilliseconds
            switch stream.receive(until: end) {
            case .bytes(let bytes): return bytes
            case .ended: return nil
            case .none:
                guard turns() else { throw .silent(address, Self.process(at: address)) }
            }
        }
    }

    /// Whether the process answers a question about its health, whatever the answer is.
    private func turns() -> Bool {
        guard let stream = try? connect() else { return false }
        var writer = HeadWriter()
        writer.append(Array("GET /healthz HTTP/1.1\r\n".utf8))
        writer.field("Host", "localhost")
        writer.field("Connection", "close")
        writer.end()
        let end = Clock.nowMilliseconds() + Self.healthMilliseconds
        guard stream.send(writer.bytes, until: end) else { return false }
        if case .none = stream.receive(until: end) { return false }
        return true
    }

    func connect() throws(AdminFault) -> AdminStream {
        let code: Int32
        do throws(SystemError) {
            let stream = AdminStream(adopting: try Knock.open(address))
            stream.resetsAtClose()
            return stream
        } catch {
            code = error.code
        }
        // A full queue, no descriptor or no memory say nothing of who listens there.
        if let shortage = Shortage(code, connectingTo: address, hasSource: false) {
            throw AdminFault("\(address) can't be asked: \(shortage.reason). \(shortage.advice)")
        }
        if case .other(let what)? = try? SocketPlace(address) {
            throw AdminFault(
                "\(address.path) is \(what) and no socket. Give --admin the socket of a running Sluice."
            )
        }
        throw AdminFault(
            "Nobody answers at \(address): \(SystemError.text(of: code)). Is Sluice running,"
                + " and as the same user? If --admin was given, check it; else it names another socket."
        )
    }
}

/// An answer of whoever listens at the place of an admin socket.
public struct AdminReply: Sendable {
    /// The status code of the answer (RFC 9110 §15).
    public let status: Int
    /// The body as it came: JSON, or a sentence where something was refused.
    public let body: Data
    /// What the answer says of its server, without what harms a terminal and no more than 60 characters; nil
    /// without such a field.
    public let server: String?
    /// The process that has answered; nil where it does not say, as of an older Sluice.
    public let process: String?

    /// The first line of a body that is plain text, for people.
    let words: String?

    init(_ head: ResponseHead, body: Data) {
        status = head.status
        let type =
            head.fields.first("content-type").map { String(decoding: $0, as: UTF8.self) } ?? ""
        let line = body.prefix { $0 != 10 && $0 != 13 }
        words =
            type.lowercased().hasPrefix("text/plain") && !line.isEmpty
            ? Self.plain(line, max: 200) : nil
        self.body = body
        server = head.fields.first("server").map { Self.plain($0) }
        process =
            server == AdminProcess.serverName
            ? head.fields.first("\(AdminProcess.fieldName)".lowercased()).map { Self.plain($0) }
            : nil
    }

    /// Whether it says that it is Sluice's.
    public var isOfSluice: Bool { server == AdminProcess.serverName }

    /// The number of the process that has answered.
    public static func number(ofProcess name: String) -> Int32? { AdminProcess.number(of: name) }

    private static func plain(_ bytes: some Sequence<UInt8>, max: Int = 60) -> String {
        String(
            decoding: bytes.prefix(max).map { $0 >= 0x20 && $0 < 0x7F ? $0 : UInt8(ascii: ".") },
            as: UTF8.self)
    }
}

/// Why the admin socket gave no answer.
public struct AdminFault: Error, Sendable, CustomStringConvertible {
    /// What happened, and what to look at.
    public var description: String { [sentence, remedy].compactMap { $0 }.joined(separator: " ") }
    /// What happened.
    public let sentence: String
    /// What to do, where `sentence` does not say it.
    public let remedy: String?
    /// Whether the process is there, and does not answer.
    public let isSilent: Bool

    init(_ sentence: String, remedy: String? = nil, isSilent: Bool = false) {
        self.sentence = sentence
        self.remedy = remedy
        self.isSilent = isSilent
    }

    /// That what answers speaks no HTTP.
    static func foreign(_ address: Address, _ sentence: String) -> AdminFault {
        AdminFault(
            "What answers at \(address) is no admin socket of Sluice: \(sentence)."
                + " \(AdminClient.naming)")
    }

    /// That the connection ended without an answer.
    static func unanswered(_ address: Address) -> AdminFault {
        AdminFault(
            "\(address) ended the connection without an answer: Sluice is stopping, or another"
                + " program listens there. \(AdminClient.naming)")
    }

    /// That a process which listens says nothing: it is stopped, or it hangs.
    static func silent(_ address: Address, _ process: Int32?) -> AdminFault {
        let seconds = (AdminClient.silenceMilliseconds + AdminClient.healthMilliseconds) / 1_000
        let who = process.map { "Process \($0) at \(address)" } ?? "The process at \(address)"
        let number = process.map(String.init) ?? "PID"
        if let process, isStopped(process) {
            return AdminFault(
                "\(who) is stopped (by SIGSTOP, or Ctrl-Z in its terminal), and has not answered for"
                    + " \(seconds) s. What was asked for is not done.",
                remedy: "Let it go on with: kill -CONT \(number)", isSilent: true)
        }
        return AdminFault(
            "\(who) takes connections, and has not answered for \(seconds) s. What was asked for is probably"
                + " not done.",
            remedy:
                "If that is a Sluice, it hangs: see its log. If it stays so, kill -KILL \(number) ends it, and all"
                + " sockets with it; then start it again.", isSilent: true)
    }

    /// Whether a process is stopped by a signal (proc_pid_stat(5): T).
    private static func isStopped(_ process: Int32) -> Bool { condition(of: process) == "T" }

    /// The letter for what a process does; nil where that can't be read.
    static func condition(of process: Int32) -> Character? {
        guard let text = try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8),
            let end = text.lastIndex(of: ")")
        else { return nil }
        return text[end...].dropFirst(2).first
    }
}
