// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import Reactor
import Wire

/// A whole request to the admin socket.
struct AdminMessage: Sendable {
    let head: RequestHead
    let body: Data
    /// How many bytes have come behind it.
    var bytesBehind = 0

    /// Whether the answer goes without its body.
    var isHead: Bool { head.method == "HEAD" }

    private var path: Substring {
        String(decoding: head.target, as: UTF8.self)
            .split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)[0]
    }

    /// Whether it asks how the process is, which is answered whatever else waits.
    var isAboutHealth: Bool { path == "/healthz" || path == "/readyz" }

    /// Whether it asks for the WebSocket of a dashboard.
    var asksForFeed: Bool { path == "/live" && head.fields.first("upgrade") != nil }
}

/// Accepts connections to the admin socket and reads their requests, all side by side.
struct AdminReading: ~Copyable {
    /// One whose request is not whole.
    private final class Caller {
        let descriptor: Int32
        let sinceMilliseconds: UInt64
        private var parser = RequestHeadParser(limits: .builtIn)
        private var head: RequestHead?
        private var bodyBytes = 0
        private var body = Data()
        /// Whether not a byte has come.
        private(set) var isSilent = true

        init(_ descriptor: Int32, nowMilliseconds now: UInt64) {
            self.descriptor = descriptor
            sinceMilliseconds = now
        }

        /// Takes what came.
        ///
        /// - Returns: the request once it is whole; nil until then.
        func take(_ bytes: [UInt8]) throws(AdminRefusal) -> AdminMessage? {
            isSilent = false
            var rest = bytes[...]
            if head == nil {
                switch bytes.withUnsafeBytes({ parser.append($0) }) {
                case .needsMore: return nil
                case .failed(let fault): throw AdminRefusal(400, fault.sentence)
                case .complete(let head, let consumed):
                    bodyBytes = try Self.bodyBytes(head)
                    self.head = head
                    rest = rest.dropFirst(consumed)
                }
            }
            let own = min(rest.count, bodyBytes - body.count)
            body.append(contentsOf: rest.prefix(own))
            guard let head, body.count == bodyBytes else { return nil }
            return AdminMessage(head: head, body: body, bytesBehind: rest.count - own)
        }

        private static func bodyBytes(_ head: RequestHead) throws(AdminRefusal) -> Int {
            let framing: BodyFraming
            do throws(HeadFault) {
                framing = try BodyFraming(request: head)
            } catch {
                throw AdminRefusal(error.status, error.sentence)
            }
            switch framing {
            case .none: return 0
            case .length(let length) where length <= UInt64(AdminServer.bodyBytesMax):
                return Int(length)
            case .length: throw AdminRefusal(413, "The body is too long.")
            case .chunked, .untilClose:
                throw AdminRefusal(411, "A body needs a Content-Length.")
            }
        }
    }

    private let server: AdminServer
    private let places: AdminServer.Places
    private var callers: [Caller] = []
    /// Until when nobody is accepted, for want of descriptors.
    private var resumeMilliseconds: UInt64 = 0

    init(_ server: AdminServer, _ places: AdminServer.Places) {
        self.server = server
        self.places = places
    }

    deinit {
        for caller in callers { close(caller.descriptor) }
    }

    /// Waits for something to do, and does it; false when the server is to stop.
    mutating func turn(_ socket: borrowing Listener, _ door: Mailbox<Bool>) -> Bool {
        var now = Clock.nowMilliseconds()
        let accepts = now >= resumeMilliseconds && hasPlace(now)
        var waitFor = [
            pollfd(fd: door.descriptor, events: Int16(POLLIN), revents: 0),
            // A descriptor below 0 is passed over.
            pollfd(fd: accepts ? socket.descriptor : -1, events: Int16(POLLIN), revents: 0),
        ]
        for caller in callers {
            waitFor.append(pollfd(fd: caller.descriptor, events: Int16(POLLIN), revents: 0))
        }
        _ = poll(&waitFor, nfds_t(waitFor.count), pause(now, accepts: accepts))
        if !door.take().isEmpty { return false }
        now = Clock.nowMilliseconds()
        let ready = zip(callers, waitFor.dropFirst(2)).filter { $0.1.revents != 0 }.map(\.0)
        for caller in ready { read(caller) }
        for caller in callers
        where now >= caller.sinceMilliseconds + AdminServer.requestMilliseconds {
            refuse(caller, AdminRefusal(408, "The request did not come in time."))
        }
        if waitFor[1].revents != 0 { accept(socket, now) }
        return true
    }

    /// Whether one more may be read, if at the cost of one that is slow.
    private func hasPlace(_ now: UInt64) -> Bool {
        callers.count < places.reading || slowest(now) != nil
    }

    /// Who makes room, after a moment in which a request on its way can come: the oldest that has sent
    /// nothing, and only where all have begun to ask, the oldest of these.
    private func slowest(_ now: UInt64) -> Caller? {
        guard let caller = callers.first(where: \.isSilent) ?? callers.first,
            now >= caller.sinceMilliseconds + AdminServer.evictMilliseconds
        else { return nil }
        return caller
    }

    /// How long nothing has to be done, in milliseconds.
    private func pause(_ now: UInt64, accepts: Bool) -> Int32 {
        var next = UInt64.max
        if let oldest = callers.first {
            next = oldest.sinceMilliseconds + AdminServer.requestMilliseconds
        }
        if !accepts, let slowest = callers.first(where: \.isSilent) ?? callers.first {
            next = min(next, slowest.sinceMilliseconds + AdminServer.evictMilliseconds)
        }
        if now < resumeMilliseconds { next = min(next, resumeMilliseconds) }
        if next == .max { return -1 }
        return next > now ? Int32(clamping: next - now) : 1
    }

    private mutating func accept(_ socket: borrowing Listener, _ now: UInt64) {
        while hasPlace(now) {
            switch socket.accept() {
            case .accepted(let descriptor, _):
                if callers.count >= places.reading, let slowest = slowest(now) {
                    refuse(
                        slowest, AdminRefusal(408, "The request came too slowly, and others wait."))
                }
                let caller = Caller(descriptor, nowMilliseconds: now)
                callers.append(caller)
                // It has mostly come along.
                read(caller)
            case .aborted: continue
            case .blocked: return
            case .exhausted:
                resumeMilliseconds = now + 50
                return
            }
        }
    }

    private mutating func read(_ caller: Caller) {
        let stream = AdminStream(adopting: caller.descriptor)
        while true {
            switch stream.receiveNow() {
            case .none:
                _ = stream.release()
                return
            case .ended:
                forget(caller)
                return
            case .bytes(let bytes):
                do throws(AdminRefusal) {
                    guard let message = try caller.take(bytes) else { continue }
                    forget(caller)
                    server.answer(message, on: stream, places)
                } catch {
                    forget(caller)
                    stream.sendNow(error.answer)
                }
                return
            }
        }
    }

    private mutating func refuse(_ caller: Caller, _ refusal: AdminRefusal) {
        forget(caller)
        AdminStream(adopting: caller.descriptor)
            .sendNow(refusal.answer)
    }

    private mutating func forget(_ caller: Caller) { callers.removeAll { $0 === caller } }
}
