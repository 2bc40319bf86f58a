// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import Reactor

/// A connected stream that is waited for, for as long as there is time.
struct AdminStream: ~Copyable {
    let descriptor: Int32

    /// Takes over a descriptor that is open and non-blocking.
    init(adopting descriptor: Int32) { self.descriptor = descriptor }

    deinit { close(descriptor) }

    /// Gives the descriptor away: the caller closes it.
    consuming func release() -> Int32 {
        let descriptor = descriptor
        discard self
        return descriptor
    }

    /// What one look at the stream has brought.
    enum Received {
        case bytes([UInt8])
        /// No bytes have come yet.
        case none
        /// The stream has ended or failed: nothing more will come.
        case ended
    }

    /// What has come by now.
    func receiveNow() -> Received {
        var buffer = [UInt8](repeating: 0, count: 16_384)
        while true {
            let count = recv(descriptor, &buffer, buffer.count, 0)
            if count > 0 { return .bytes(Array(buffer.prefix(count))) }
            if count < 0 && errno == EINTR { continue }
            return count < 0 && errno == EAGAIN ? .none : .ended
        }
    }

    /// What comes next; `none` where nothing has come by then.
    func receive(until deadline: UInt64) -> Received {
        while true {
            let received = receiveNow()
            guard case .none = received, wait(for: Int16(POLLIN), until: deadline) else {
                return received
            }
        }
    }

    /// Whether the other end is closed altogether, so that nobody waits for an answer.
    ///
    /// One that has only said that it will send no more (shutdown(2)) does wait.
    var isAbandoned: Bool {
        var look = pollfd(fd: descriptor, events: 0, revents: 0)
        return poll(&look, 1, 0) > 0 && look.revents & Int16(POLLHUP | POLLERR) != 0
    }

    /// The user of the process at the other end of a unix socket, as it was when that connected (unix(7)).
    var user: UInt32? {
        // `struct ucred`, which glibc's headers show to programs of C alone.
        var peer: (pid: pid_t, uid: uid_t, gid: gid_t) = (0, 0, 0)
        var length = socklen_t(MemoryLayout.size(ofValue: peer))
        guard getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 else {
            return nil
        }
        return peer.uid
    }

    /// Has the other end see at once that it was given up, also by a process that is killed: by TCP the end of a
    /// stream alone does not tell (socket(7), SO_LINGER).
    func resetsAtClose() {
        var setting = linger(l_onoff: 1, l_linger: 0)
        _ = setsockopt(
            descriptor, SOL_SOCKET, SO_LINGER, &setting, socklen_t(MemoryLayout<linger>.size))
    }

    /// Sends all; false when the peer does not take it, or not in time.
    @discardableResult
    func send(_ bytes: some ContiguousBytes, until deadline: UInt64? = nil) -> Bool {
        bytes.withUnsafeBytes { bytes in
            var rest = bytes[...]
            while !rest.isEmpty {
                let part = UnsafeRawBufferPointer(rebasing: rest)
                guard let count = sendSome(part, until: deadline), count > 0 else { return false }
                rest = rest.dropFirst(count)
            }
            return true
        }
    }

    /// Sends as much as the peer takes at once, which is more than nothing.
    ///
    /// - Returns: how many bytes; none where the peer has taken nothing in time, nil where it never will.
    func sendSome(_ bytes: ArraySlice<UInt8>, until deadline: UInt64? = nil) -> Int? {
        bytes.withUnsafeBytes { sendSome($0, until: deadline) }
    }

    private func sendSome(_ bytes: UnsafeRawBufferPointer, until deadline: UInt64?) -> Int? {
        while true {
            let count = Glibc.send(
                descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
            if count > 0 { return count }
            if count < 0 && errno == EAGAIN {
                guard wait(for: Int16(POLLOUT), until: deadline) else { return 0 }
            } else if count == 0 || errno != EINTR {
                return nil
            }
        }
    }

    /// Sends a short answer without waiting: a new connection has room for it.
    func sendNow(_ answer: AdminAnswer) {
        send(answer.bytes(omittingBody: false), until: 0)
    }

    /// Waits until the stream is ready; false when the time is over.
    private func wait(for events: Int16, until deadline: UInt64?) -> Bool {
        var waitFor = pollfd(fd: descriptor, events: events, revents: 0)
        while true {
            var left: Int32 = -1
            if let deadline {
                let now = Clock.nowMilliseconds()
                if now >= deadline { return false }
                left = Int32(clamping: deadline - now)
            }
            let count = poll(&waitFor, 1, left)
            if count > 0 { return true }
            if count < 0 && errno != EINTR { return false }
        }
    }
}
