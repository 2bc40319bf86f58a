// SPDX-License-Identifier: Apache-2.0
import CZlib

/// Inflates the messages of one direction of a relay (RFC 7692 §7.2.2), with a window as large as any may be.
///
/// It can begin amid a relay: a message that refers only to what was inflated here comes out whole, and one that refers
/// to what went before is an error, never wrong bytes, since zlib knows how much there was (`inflate`, "invalid
/// distance too far back").
public final class Inflater {
    /// Why bytes could not be inflated.
    public enum Fault: Error {
        /// They refer to bytes that did not come here, or they are no deflate data.
        case unreadable
        /// They become more than anybody wants to look at.
        case tooLong
    }

    /// Bytes that one frame may become.
    static let bytesMax: UInt64 = 256 << 20
    private static let pieceBytes = 64 * 1024

    private let stream: UnsafeMutablePointer<z_stream>
    private let isReady: Bool
    private var piece = [UInt8](repeating: 0, count: Inflater.pieceBytes)
    /// Whether something was inflated since the window was empty.
    private(set) var hasWindow = false

    /// An inflater that has inflated nothing.
    public init() {
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
        // A negative number: deflate alone, without a header of zlib's (zlib.h, inflateInit2).
        isReady = sluice_inflateInit(stream, -MAX_WBITS) == Z_OK
    }

    deinit {
        if isReady { inflateEnd(stream) }
        stream.deinitialize(count: 1)
        stream.deallocate()
    }

    /// Forgets what was inflated before.
    public func reset() {
        if isReady { inflateReset(stream) }
        hasWindow = false
    }

    /// Inflates the payload of a frame.
    ///
    /// - Parameters:
    ///   - bytes: the payload, whole.
    ///   - isFinal: whether its message ends with it.
    ///   - keeping: how many bytes of the outcome are wanted.
    /// - Returns: the first of the bytes that it becomes, and how many there are.
    /// - Throws: what is wrong; the window is empty then.
    public func inflate(
        _ bytes: [UInt8], isFinal: Bool, keeping: Int
    ) throws(Fault) -> (bytes: [UInt8], count: UInt64) {
        // What a sender takes off the end of each message (RFC 7692 §7.2.1).
        var input = isFinal ? bytes + [0x00, 0x00, 0xFF, 0xFF] : bytes
        var kept: [UInt8] = []
        var total: UInt64 = 0
        var fault: Fault? = isReady ? nil : .unreadable
        input.withUnsafeMutableBufferPointer { input in
            stream.pointee.next_in = input.baseAddress
            stream.pointee.avail_in = uInt(input.count)
            while fault == nil {
                let (made, status) = step()
                total += UInt64(made)
                let wanted = min(made, keeping - kept.count)
                if wanted > 0 { kept.append(contentsOf: piece[..<wanted]) }
                // More can come only of more input, or of a piece that was filled (zlib.h, inflate).
                switch status {
                case Z_OK where total > Self.bytesMax: fault = .tooLong
                case Z_OK where made == Self.pieceBytes || stream.pointee.avail_in > 0: continue
                case Z_OK, Z_BUF_ERROR: return
                case Z_STREAM_END:
                    // A block that says it is the last one: another stream begins behind it (§7.2.3.4).
                    let hasMore = stream.pointee.avail_in > 0
                    inflateReset(stream)
                    if !hasMore { return }
                default: fault = .unreadable
                }
            }
        }
        stream.pointee.next_in = nil
        stream.pointee.avail_in = 0
        if let fault {
            reset()
            throw fault
        }
        hasWindow = true
        return (kept, total)
    }

    private func step() -> (made: Int, status: Int32) {
        piece.withUnsafeMutableBufferPointer { output in
            stream.pointee.next_out = output.baseAddress
            stream.pointee.avail_out = uInt(output.count)
            let status = CZlib.inflate(stream, Z_SYNC_FLUSH)
            return (output.count - Int(stream.pointee.avail_out), status)
        }
    }
}
