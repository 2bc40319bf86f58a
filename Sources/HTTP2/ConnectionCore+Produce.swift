// SPDX-License-Identifier: Apache-2.0
import CNghttp2

extension UnsafeMutablePointer where Pointee == ConnectionCore {
    /// Fills the room with what is to be sent; how many bytes that is.
    func produce(into room: UnsafeMutableRawBufferPointer) -> Int {
        guard let base = room.baseAddress else { return 0 }
        var filled = 0
        while true {
            if pointee.frameLeft > 0, let frame = pointee.frame {
                let count = min(pointee.frameLeft, room.count - filled)
                (base + filled).copyMemory(from: frame, byteCount: count)
                filled += count
                pointee.frame = frame + count
                pointee.frameLeft -= count
            }
            if filled == room.count || pointee.isOver { break }
            // Behind the GOAWAY that ends the connection nghttp2 would go on with other frames.
            if pointee.end != nil, nghttp2_session_want_write(pointee.session) == 0 { break }
            var frame: UnsafePointer<UInt8>?
            let count = nghttp2_session_mem_send(pointee.session, &frame)
            guard count > 0 else {
                if count < 0 {
                    pointee.finish(.violation(.internalError, reason: "nghttp2 failed"))
                }
                break
            }
            pointee.frame = frame
            pointee.frameLeft = count
        }
        checkEnd()
        return filled
    }

    /// Whether there may be something to produce.
    var wantsToProduce: Bool {
        pointee.frameLeft > 0
            || !pointee.isOver && nghttp2_session_want_write(pointee.session) != 0
    }
}
