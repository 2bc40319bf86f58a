// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import TLS

/// Goal: the window of a reactor takes another size whatever the last session has left in it.
struct RecordBuffersTests {
    @Test(arguments: [2, 64])
    func `what waits to be sent is kept, and what nobody has read is forgotten`(capacity: Int) {
        let buffers = RecordBuffers(outputCapacity: 32)
        defer { buffers.free() }
        append([1, 2, 3], to: buffers)
        let unread: [UInt8] = [9, 9]
        unread.withUnsafeBufferPointer { bytes in
            if let start = bytes.baseAddress { buffers.setInput(start, count: bytes.count) }
            buffers.resize(outputCapacity: capacity)
        }
        #expect(buffers.inputRemaining == 0)
        #expect(buffers.takeOutput() == [1, 2, 3])
        if capacity == 64 {
            append([UInt8](repeating: 4, count: capacity), to: buffers)
            #expect(buffers.outputCount == capacity)
        }
    }

    private func append(_ bytes: [UInt8], to buffers: RecordBuffers) {
        let window = buffers.window
        for byte in bytes {
            window.pointee.output[window.pointee.outputCount] = byte
            window.pointee.outputCount += 1
        }
    }
}
