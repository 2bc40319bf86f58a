// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import Glibc

/// The `BIO_METHOD` that lets OpenSSL read from and write to a `RecordBuffers.Window`.
///
/// Reading an empty window asks for a retry, which OpenSSL reports as `SSL_ERROR_WANT_READ`.
enum RecordBIO {
    // Written once before the first session and never changed afterwards.
    nonisolated(unsafe) private static let method: OpaquePointer = {
        guard let method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "records")
        else { fatalError("out of memory for a BIO_METHOD") }
        BIO_meth_set_read(method, readFromWindow)
        BIO_meth_set_write(method, writeToWindow)
        BIO_meth_set_ctrl(method, controlWindow)
        BIO_meth_set_create(method, createBIO)
        return method
    }()

    /// Has a context of clients tell the window of a session which messages have come of its server.
    ///
    /// Behind the handshake that is what tells a ticket, which changes nothing of the keys, from all else.
    static func countMessages(of context: OpaquePointer) {
        SSL_CTX_set_msg_callback(context) { isWritten, _, type, bytes, count, ssl, _ in
            guard isWritten == 0, type == SSL3_RT_HANDSHAKE || type == SSL3_RT_ALERT, count > 0,
                let bytes, let ssl, let bio = SSL_get_rbio(ssl)
            else { return }
            if type == SSL3_RT_ALERT {
                windowOf(bio).pointee.toldBytes &+= count
                return
            }
            let isTicket = bytes.load(as: UInt8.self) == UInt8(SSL3_MT_NEWSESSION_TICKET)
            if isTicket {
                windowOf(bio).pointee.toldBytes &+= count
            } else {
                windowOf(bio).pointee.hasOtherMessage = true
            }
        }
    }

    static func make(window: UnsafeMutablePointer<RecordBuffers.Window>) -> OpaquePointer {
        guard let bio = BIO_new(method) else { fatalError("out of memory for a BIO") }
        BIO_set_data(bio, window)
        return bio
    }
}

private func windowOf(_ bio: OpaquePointer?) -> UnsafeMutablePointer<RecordBuffers.Window> {
    BIO_get_data(bio).unsafelyUnwrapped.assumingMemoryBound(to: RecordBuffers.Window.self)
}

private func readFromWindow(
    _ bio: OpaquePointer?, _ bytes: UnsafeMutablePointer<CChar>?, _ count: Int32
) -> Int32 {
    let window = windowOf(bio)
    sluice_bio_clear_retry_flags(bio)
    let available = window.pointee.inputCount
    if available == 0 {
        sluice_bio_set_retry_read(bio)
        return -1
    }
    let taken = min(available, Int(count))
    memcpy(bytes.unsafelyUnwrapped, window.pointee.input, taken)
    window.pointee.input += taken
    window.pointee.inputCount = available &- taken
    return Int32(truncatingIfNeeded: taken)
}

private func writeToWindow(
    _ bio: OpaquePointer?, _ bytes: UnsafePointer<CChar>?, _ count: Int32
) -> Int32 {
    let window = windowOf(bio)
    sluice_bio_clear_retry_flags(bio)
    let used = window.pointee.outputCount
    guard Int(count) <= window.pointee.outputCapacity &- used else {
        sluice_bio_set_retry_write(bio)
        return -1
    }
    memcpy(window.pointee.output + used, bytes.unsafelyUnwrapped, Int(count))
    window.pointee.outputCount = used &+ Int(count)
    return count
}

private func controlWindow(
    _ bio: OpaquePointer?, _ command: Int32, _ argument: Int, _ pointer: UnsafeMutableRawPointer?
) -> Int {
    command == BIO_CTRL_FLUSH ? 1 : 0
}

private func createBIO(_ bio: OpaquePointer?) -> Int32 {
    BIO_set_init(bio, 1)
    return 1
}
