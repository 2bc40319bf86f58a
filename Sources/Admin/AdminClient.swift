// SPDX-License-Identifier: Apache-2.0
public import Foundation
import Glibc
public import Reactor
import Wire

/// Asks a running Sluice through its admin socket.
public struct AdminClient: Sendable {
    /// Where it asks.
    public let address: Address

    /// A client of the process that serves there.
    public init(_ address: Address) { self.address = address }

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

    /// Sends a request and waits for the answer.
    ///
    /// - Throws: `AdminFault` when nobody answers, or not in HTTP.
    public func send(
        _ method: String, _ target: String, body: Data? = nil
    ) throws(AdminFault) -> (status: Int, body: Data) {
        let stream = try connect()
        var writer = HeadWriter()
        writer.append(Array("\(method) \(target) HTTP/1.1\r\n".utf8))
        writer.field("Host", "localhost")
        if let body { writer.field("Content-Length", String(body.count)) }
        writer.field("Connection", "close")
        writer.end()
        guard stream.send(writer.bytes + Array(body ?? Data())) else {
            throw AdminFault("\(address) took no request")
        }
        var parser = ResponseHeadParser(limits: .builtIn)
        var status: Int?
        var answer = Data()
        while let bytes = stream.receive() {
            if status != nil {
                answer.append(contentsOf: bytes)
                continue
            }
            switch bytes.withUnsafeBytes({ parser.append($0) }) {
            case .needsMore: continue
            case .failed(let fault):
                throw AdminFault("\(address) does not speak as Sluice does: \(fault.sentence)")
            case .complete(let head, let consumed):
                status = head.status
                answer.append(contentsOf: bytes.dropFirst(consumed))
            }
        }
        guard let status else { throw AdminFault("\(address) broke off without an answer") }
        return (status, answer)
    }

    private func connect() throws(AdminFault) -> AdminStream {
        let code: Int32
        do throws(SystemError) {
            return AdminStream(adopting: try Knock.open(address))
        } catch {
            code = error.code
        }
        // A full queue, no descriptor or no memory say nothing of who listens there.
        if let shortage = Shortage(code, connectingTo: address, hasSource: false) {
            throw AdminFault("\(address) can't be asked: \(shortage.reason). \(shortage.advice)")
        }
        throw AdminFault(
            "nobody answers at \(address): \(SystemError.text(of: code)). Is Sluice running,"
                + " and as the same user? --admin names another socket.")
    }
}

/// Why the admin socket gave no answer.
public struct AdminFault: Error, Sendable, CustomStringConvertible {
    /// What happened, and what to look at.
    public let description: String

    init(_ description: String) { self.description = description }
}
