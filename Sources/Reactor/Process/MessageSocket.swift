// SPDX-License-Identifier: Apache-2.0
import CLinux
import Glibc

/// One end of a connection between two processes that carries messages, each whole or not at all, with descriptors
/// (SOCK_SEQPACKET and SCM_RIGHTS in unix(7)).
///
/// Both ends are made at once and have no name, so nobody can connect to them: the other one is handed to a child.
public final class MessageSocket: Sendable {
    /// Descriptors that go with one message at most; the kernel's bound is 253 (SCM_MAX_FD).
    public static let descriptorsMax = 250
    /// Bytes of one message at most.
    public static let messageBytesMax = 65_536

    /// The descriptor, which stays this value's.
    public let descriptor: Int32

    /// Takes over a descriptor; nil where it is no socket of this kind, which is closed then.
    public init?(adopting descriptor: Int32) {
        guard Self.isOfThisKind(descriptor) else {
            if descriptor > 2 { close(descriptor) }
            return nil
        }
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        self.descriptor = descriptor
    }

    /// Takes over a descriptor of a channel that the process of this number has made, as this user; nil where it is anything else, which
    /// stays as it is.
    public convenience init?(adopting descriptor: Int32, madeBy process: Int32) {
        guard Self.isOfThisKind(descriptor), sluice_peer_process(descriptor) == process,
            sluice_peer_user(descriptor) == Int64(geteuid())
        else { return nil }
        self.init(adopting: descriptor)
    }

    private static func isOfThisKind(_ descriptor: Int32) -> Bool {
        var type: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        return getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &type, &length) == 0
            && type == Int32(SOCK_SEQPACKET.rawValue)
    }

    private init(owning descriptor: Int32) { self.descriptor = descriptor }

    deinit { close(descriptor) }

    /// Two ends, connected with each other, that no other program inherits.
    public static func pair() throws(SystemError) -> (own: MessageSocket, other: MessageSocket) {
        var ends: [Int32] = [-1, -1]
        let type = Int32(SOCK_SEQPACKET.rawValue | SOCK_CLOEXEC.rawValue)
        guard socketpair(AF_UNIX, type, 0, &ends) == 0 else {
            throw .last("make a channel to another process")
        }
        return (MessageSocket(owning: ends[0]), MessageSocket(owning: ends[1]))
    }

    /// Whether the process at the other end was of the same user when the channel was made (SO_PEERCRED).
    public var isOfThisUser: Bool { sluice_peer_user(descriptor) == Int64(geteuid()) }

    /// Sends a message with descriptors, which stay the caller's.
    ///
    /// - Returns: false where nothing of it was sent: the other end is gone, or has no room in time.
    public func send(
        _ bytes: [UInt8], _ descriptors: [Int32] = [], withinMilliseconds milliseconds: Int32
    ) -> Bool {
        precondition(descriptors.count <= Self.descriptorsMax)
        precondition(!bytes.isEmpty && bytes.count <= Self.messageBytesMax)
        let end = Clock.nowMilliseconds() + UInt64(max(0, milliseconds))
        while true {
            let sent = sluice_send_message(
                descriptor, bytes, bytes.count, descriptors, Int32(descriptors.count))
            if sent == bytes.count { return true }
            let code = errno
            if sent < 0 && code == EINTR { continue }
            guard sent < 0, code == EAGAIN else { return false }
            let now = Clock.nowMilliseconds()
            guard now < end, wait(POLLOUT, until: end) else { return false }
        }
    }

    /// What has come.
    public enum Received: Sendable {
        /// A message, and descriptors that are the caller's from here on: none, where not all have found room in this
        /// process.
        case message([UInt8], [Int32])
        /// The other end is closed, or has sent what is no message of ours.
        case ended
        /// Nothing has come in time.
        case nothing
    }

    /// Receives a message.
    public func receive(withinMilliseconds milliseconds: Int32) -> Received {
        let end = Clock.nowMilliseconds() + UInt64(max(0, milliseconds))
        var bytes = [UInt8](repeating: 0, count: Self.messageBytesMax)
        var descriptors = [Int32](repeating: -1, count: Self.descriptorsMax + 4)
        while true {
            guard wait(POLLIN, until: end) else { return .nothing }
            var count = Int32(descriptors.count)
            var isWhole: Int32 = 0
            let got = sluice_receive_message(
                descriptor, &bytes, bytes.count, &descriptors, &count, &isWhole)
            if got < 0 && (errno == EINTR || errno == EAGAIN) { continue }
            let handed = Array(descriptors.prefix(Int(max(0, count))))
            if got > 0 && isWhole != 0 { return .message(Array(bytes.prefix(got)), handed) }
            for descriptor in handed { close(descriptor) }
            return got > 0 ? .message(Array(bytes.prefix(got)), []) : .ended
        }
    }

    /// Ends the connection: the other side is told, and nothing is sent or received any more.
    public func end() { shutdown(descriptor, Int32(SHUT_RDWR)) }

    /// Whether the other end is closed, whatever has come.
    public var hasEnded: Bool { wait(0, until: 0) }

    /// Waits until the other end is closed, whatever has come.
    public func waitForEnd() {
        var waitFor = pollfd(fd: descriptor, events: 0, revents: 0)
        while poll(&waitFor, 1, -1) <= 0 {}
    }

    private func wait(_ events: Int32, until end: UInt64) -> Bool {
        var waitFor = pollfd(fd: descriptor, events: Int16(events), revents: 0)
        while true {
            let now = Clock.nowMilliseconds()
            let count = poll(&waitFor, 1, now < end ? Int32(clamping: end - now) : 0)
            if count >= 0 { return count > 0 }
            if errno != EINTR { return false }
        }
    }
}
