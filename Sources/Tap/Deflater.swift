// SPDX-License-Identifier: Apache-2.0
import CZlib

/// Deflates messages, each by itself (RFC 7692 §7.2.1, without context takeover).
public final class Deflater {
    private let stream: UnsafeMutablePointer<z_stream>
    private let isReady: Bool
    private var output: [UInt8] = []

    /// A deflater that is as fast as zlib's fastest.
    public init() {
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
        isReady = sluice_deflateInit(stream, Z_BEST_SPEED, -MAX_WBITS) == Z_OK
    }

    deinit {
        if isReady { deflateEnd(stream) }
        stream.deinitialize(count: 1)
        stream.deallocate()
    }

    /// Deflates a whole message.
    ///
    /// - Parameter bytes: the message.
    /// - Returns: its payload in a frame with RSV1; nil where memory is short.
    public func deflate(_ bytes: [UInt8]) -> [UInt8]? {
        guard isReady else { return nil }
        deflateReset(stream)
        // What zlib needs at most, and the empty block of the flush.
        let most = Int(deflateBound(stream, uLong(bytes.count))) + 16
        if output.count < most { output = [UInt8](repeating: 0, count: most) }
        var input = bytes
        let count = input.withUnsafeMutableBufferPointer { input in
            output.withUnsafeMutableBufferPointer { output -> Int? in
                stream.pointee.next_in = input.baseAddress
                stream.pointee.avail_in = uInt(input.count)
                stream.pointee.next_out = output.baseAddress
                stream.pointee.avail_out = uInt(output.count)
                let status = CZlib.deflate(stream, Z_SYNC_FLUSH)
                let isWhole = stream.pointee.avail_in == 0 && stream.pointee.avail_out > 0
                guard status == Z_OK || status == Z_BUF_ERROR, isWhole else { return nil }
                return output.count - Int(stream.pointee.avail_out)
            }
        }
        // An empty message is one byte (§7.2.3.6); else the end of the flush is taken off.
        guard let count else { return nil }
        return bytes.isEmpty ? [0] : Array(output[..<(count - 4)])
    }
}
