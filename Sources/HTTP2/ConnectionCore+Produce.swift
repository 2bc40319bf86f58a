// SPDX-License-Identifier: Apache-2.0
import CNghttp2

extension UnsafeMutablePointer where Pointee == ConnectionCore {
    /// Fills the room with what is to be sent; how many bytes that is.
    func produce(into room: UnsafeMutableRawBufferPointer) -> Int {
        guard let base = room.baseAddress else { return 0 }
        pointee.room = base
        pointee.roomLeft = room.count
        while true {
            takeFrame()
            if pointee.roomLeft == 0 || pointee.isOver { break }
            // Behind the GOAWAY that ends the connection nghttp2 would go on with other frames.
            if pointee.end != nil, nghttp2_session_want_write(pointee.session) == 0 { break }
            // DATA frames that have room are written by the way (`write`).
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
        let filled = room.count - pointee.roomLeft
        pointee.room = nil
        pointee.roomLeft = 0
        checkEnd()
        return filled
    }

    /// Copies what has room of a frame that nghttp2 has made.
    private func takeFrame() {
        guard pointee.frameLeft > 0, let frame = pointee.frame, let room = pointee.room else {
            return
        }
        let count = min(pointee.frameLeft, pointee.roomLeft)
        room.copyMemory(from: frame, byteCount: count)
        pointee.room = room + count
        pointee.roomLeft -= count
        pointee.frame = frame + count
        pointee.frameLeft -= count
    }

    /// Whether there may be something to produce.
    var wantsToProduce: Bool {
        pointee.frameLeft > 0
            || !pointee.isOver && nghttp2_session_want_write(pointee.session) != 0
    }
}
