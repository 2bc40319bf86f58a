// SPDX-License-Identifier: Apache-2.0
import COpenSSL

/// One end of the record protocol of TLS 1.3, whose traffic secrets are given instead of agreed on.
///
/// It is the record layer that sessions use after the handshake, with a window of its own: two ends with
/// the secrets exchanged understand each other. The fuzz targets use it, also to seal what no honest
/// peer would. Not to be shared between threads.
package final class RecordEnd {
    private let buffers: RecordBuffers
    private let layer: UnsafeMutablePointer<RecordLayer>
    private let plain = UnsafeMutablePointer<UInt8>.allocate(capacity: plainCapacity)

    /// Bytes of a secret that are enough for every suite.
    package static let secretBytes = RecordSuite.secretBytesMax
    /// Room for the plaintext of one record of any length, and of several short ones.
    private static let plainCapacity = RecordLayer.bodyBytesMax

    /// Makes an end; nil when OpenSSL can't derive keys or the suite is none of TLS 1.3's.
    ///
    /// - Parameters:
    ///   - cipher: the suite's number in the IANA registry.
    ///   - reading: the secret of what the peer sends, `secretBytes` of them.
    ///   - writing: the secret of what this end sends, `secretBytes` of them.
    ///   - engine: who seals and opens.
    package init?(
        cipher: UInt16, reading: [UInt8], writing: [UInt8], engine: RecordEngine = .openSSL
    ) {
        buffers = RecordBuffers(outputCapacity: 40_000, engine: engine)
        precondition(reading.count == Self.secretBytes && writing.count == Self.secretBytes)
        let ciphers = buffers.ciphers
        let made = RecordSuite(number: cipher).flatMap { suite in
            reading.withUnsafeBytes { reading in
                writing.withUnsafeBytes { writing in
                    reading.baseAddress.flatMap { reading in
                        writing.baseAddress.flatMap { writing in
                            RecordLayer.make(
                                suite, secrets: (reading: reading, writing: writing),
                                sequences: (reading: 0, writing: 0), ciphers)
                        }
                    }
                }
            }
        }
        guard let made else {
            buffers.free()
            plain.deallocate()
            return nil
        }
        layer = made
    }

    deinit {
        RecordLayer.destroy(layer, buffers.ciphers)
        buffers.free()
        plain.deallocate()
    }

    /// Why the session failed, as the number of an alert (RFC 8446 §6.2); nil as long as it goes on.
    package var failure: UInt8? { layer.pointee.failure?.rawValue }

    /// Whether the peer has said close_notify.
    package var isReadClosed: Bool { layer.pointee.isReadClosed }

    /// Opens the records among bytes that arrived; returns the application data.
    package func read(_ wire: [UInt8]) -> [UInt8] {
        var all: [UInt8] = []
        wire.withUnsafeBufferPointer { wire in
            guard let start = wire.baseAddress else { return }
            buffers.setInput(start, count: wire.count)
            var before = 0
            repeat {
                before = buffers.inputRemaining
                let opened = layer.pointee.readAll(
                    into: plain, capacity: Self.plainCapacity, buffers)
                all += UnsafeBufferPointer(start: plain, count: opened.count)
            } while buffers.inputRemaining > 0 && buffers.inputRemaining < before
        }
        return all
    }

    /// Seals application data, as a session does; returns nothing when it may not be sent any more.
    package func write(_ plain: [UInt8]) -> [UInt8]? {
        guard layer.pointee.write(plain, count: plain.count, buffers) else { return nil }
        return takeOutput()
    }

    /// Seals one record with any inner plaintext (RFC 8446 §5.2): content, type and padding, which are
    /// one byte or more.
    package func seal(inner: [UInt8]) -> [UInt8]? {
        guard let type = inner.last else { return nil }
        var record = [UInt8](repeating: 0, count: inner.count + RecordLayer.overheadBytes - 1)
        let made = buffers.ciphers.seal(
            type, inner, count: inner.count - 1, &layer.pointee.writing, layer.pointee.suite,
            into: &record)
        return made == record.count ? record : nil
    }

    /// Takes the next keys for what this end sends, as behind a KeyUpdate (RFC 8446 §7.2).
    package func updateWriting() -> Bool {
        layer.pointee.writing.update(layer.pointee.suite, buffers.ciphers)
    }

    /// The records that this end made by itself: alerts and KeyUpdates.
    package func takeOutput() -> [UInt8] { buffers.takeOutput() }
}
