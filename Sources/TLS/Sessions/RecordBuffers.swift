// SPDX-License-Identifier: Apache-2.0
import COpenSSL

/// The window through which OpenSSL sees the bytes of one reactor's sockets.
///
/// Ciphertext that was just received is lent as input; records that OpenSSL makes are appended
/// to the output and sent by the caller. One window serves every session of a thread, so an idle
/// session owns none of it. Not to be shared between threads.
public struct RecordBuffers {
    struct Window {
        var input: UnsafePointer<UInt8>
        var inputCount: Int
        var output: UnsafeMutablePointer<UInt8>
        var outputCount: Int
        var outputCapacity: Int
        /// Whether busy sessions release OpenSSL's object by themselves.
        var releasesBusy = false
        /// A client's session has read a message of its handshake that is no ticket.
        var hasOtherMessage = false
        /// Bytes of tickets and alerts that a client's session has read, each of them whole.
        var toldBytes = 0
        /// Sessions that have released it since somebody asked.
        var releasedCount = 0
        /// One BIO for all sessions of the thread: its only state is the window.
        var bio: OpaquePointer?
    }

    /// Bytes of output that one call may make: what is sealed plus every record's overhead.
    public static let outputCapacityDefault = 320 * 1024

    let window: UnsafeMutablePointer<Window>
    /// What sessions seal and open with that have released OpenSSL's object.
    let ciphers: RecordCiphers

    /// Makes an empty window.
    ///
    /// - Parameters:
    ///   - outputCapacity: bytes of records that may wait to be sent.
    ///   - engine: who seals and opens for sessions that have released OpenSSL's object.
    public init(
        outputCapacity: Int = outputCapacityDefault, engine: RecordEngine = .openSSL
    ) {
        let output = UnsafeMutablePointer<UInt8>.allocate(capacity: outputCapacity)
        window = .allocate(capacity: 1)
        window.initialize(
            to: Window(
                input: UnsafePointer(output), inputCount: 0, output: output, outputCount: 0,
                outputCapacity: outputCapacity))
        window.pointee.bio = RecordBIO.make(window: window)
        ciphers = RecordCiphers(engine)
    }

    /// Has another engine seal and open from now on, also for sessions that live already.
    public func use(_ engine: RecordEngine) { ciphers.use(engine) }

    /// Frees the window; no session may use it any more.
    public func free() {
        BIO_free(window.pointee.bio)
        ciphers.free()
        window.pointee.output.deallocate()
        window.deinitialize(count: 1)
        window.deallocate()
    }

    /// Says whether sessions release OpenSSL's object by themselves once they are busy.
    ///
    /// They are when 64 KiB have passed in one direction. Unless it is said they do not.
    public func releaseBusy(_ isWanted: Bool) { window.pointee.releasesBusy = isWanted }

    /// How many sessions have released OpenSSL's object since the last time.
    public func takeReleasedCount() -> Int {
        defer { window.pointee.releasedCount = 0 }
        return window.pointee.releasedCount
    }

    /// Has room for so many bytes of records from now on, or as many as wait to be sent.
    ///
    /// Input that is still lent, as behind a record that could not be opened, is forgotten.
    public func resize(outputCapacity: Int) {
        let capacity = max(outputCapacity, outputCount)
        let output = UnsafeMutablePointer<UInt8>.allocate(capacity: capacity)
        output.update(from: window.pointee.output, count: outputCount)
        window.pointee.output.deallocate()
        window.pointee.output = output
        window.pointee.outputCapacity = capacity
        setInput(output, count: 0)
    }

    /// Lends the ciphertext just received, until it has been read.
    public func setInput(_ bytes: UnsafePointer<UInt8>, count: Int) {
        window.pointee.input = bytes
        window.pointee.inputCount = count
    }

    /// The bytes of the input that no session has taken yet.
    public var inputRemaining: Int { window.pointee.inputCount }

    /// The records that wait to be sent.
    public var output: UnsafeMutablePointer<UInt8> { window.pointee.output }

    /// How many bytes of records wait to be sent.
    public var outputCount: Int { window.pointee.outputCount }

    /// Takes the output away, to be sent later.
    public func takeOutput() -> [UInt8] {
        defer { clearOutput() }
        return Array(UnsafeBufferPointer(start: output, count: outputCount))
    }

    /// Forgets the output, because it was sent or kept elsewhere.
    public func clearOutput() { window.pointee.outputCount = 0 }
}
