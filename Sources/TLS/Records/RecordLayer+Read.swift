// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import Glibc

extension RecordLayer {
    /// What the input held.
    struct Opened {
        /// Bytes of application data.
        var count = 0
        /// Records that brought some.
        var dataRecords: Int32 = 0
        /// Records that brought none.
        var quietRecords: Int32 = 0
    }

    /// Opens every complete record of the window's input into `bytes`.
    ///
    /// `failure` and `isReadClosed` say afterwards whether more may come.
    mutating func readAll(
        into bytes: UnsafeMutablePointer<UInt8>, capacity: Int, _ buffers: RecordBuffers
    ) -> Opened {
        var opened = Opened()
        let window = buffers.window
        while window.pointee.inputCount > 0 && failure == nil && !isReadClosed {
            let record: UnsafePointer<UInt8>
            let bodyCount: Int
            if part == nil, let length = wholeRecord(window) {
                guard Self.hasRoom(for: length, capacity &- opened.count) else { break }
                record = window.pointee.input
                bodyCount = length
                window.pointee.input += Self.headerBytes &+ length
                window.pointee.inputCount &-= Self.headerBytes &+ length
            } else {
                if failure == nil { collect(window, buffers) }
                guard failure == nil, let part, let length = collectedLength() else { break }
                guard Self.hasRoom(for: length, capacity &- opened.count) else { break }
                record = UnsafePointer(part)
                bodyCount = length
            }
            openOne(record, bodyCount, into: bytes, &opened, buffers)
            if record == part.map({ UnsafePointer($0) }) { dropPart() }
        }
        // What comes behind the end is nobody's (RFC 8446 §6.1).
        if isReadClosed || failure != nil {
            window.pointee.inputCount = 0
            dropPart()
        }
        if failure == nil { payKeyUpdate(buffers) }
        return opened
    }

    private static func hasRoom(for bodyCount: Int, _ room: Int) -> Bool {
        bodyCount &- RecordSuite.tagBytes <= room
    }

    /// The length of the record at the input's start, if it is whole and its header is right.
    private func wholeRecord(_ window: UnsafeMutablePointer<RecordBuffers.Window>) -> Int? {
        let count = window.pointee.inputCount
        guard count >= Self.headerBytes else { return nil }
        let length = Self.length(window.pointee.input)
        guard Self.fault(window.pointee.input, length) == nil else { return nil }
        return Self.headerBytes &+ length <= count ? length : nil
    }

    private static func length(_ header: UnsafePointer<UInt8>) -> Int {
        Int(header[3]) << 8 | Int(header[4])
    }

    /// What is wrong with a header (RFC 8446 §5.1, §5.2); its version is not looked at.
    private static func fault(_ header: UnsafePointer<UInt8>, _ length: Int) -> Alert? {
        if header[0] != RecordType.applicationData.rawValue { return .unexpectedMessage }
        if length > bodyBytesMax { return .recordOverflow }
        return length <= RecordSuite.tagBytes ? .badRecordMAC : nil
    }

    /// Takes bytes of the input until the record that they began is whole.
    private mutating func collect(
        _ window: UnsafeMutablePointer<RecordBuffers.Window>, _ buffers: RecordBuffers
    ) {
        fill(window, upTo: Self.headerBytes)
        guard let part, partCount >= Self.headerBytes else { return }
        let length = Self.length(part)
        if let fault = Self.fault(part, length) {
            fail(fault, buffers)
            return
        }
        fill(window, upTo: Self.headerBytes &+ length)
    }

    /// Appends input to the part until it has `size` bytes, or the input ends.
    private mutating func fill(
        _ window: UnsafeMutablePointer<RecordBuffers.Window>, upTo size: Int
    ) {
        let taken = min(size &- partCount, window.pointee.inputCount)
        if taken <= 0 { return }
        if part == nil || partCount <= Self.headerBytes {
            guard let memory = realloc(part, size) else {
                failure = .internalError
                return
            }
            part = memory.bindMemory(to: UInt8.self, capacity: size)
        }
        guard let part else { return }
        memcpy(part + partCount, window.pointee.input, taken)
        partCount &+= taken
        window.pointee.input += taken
        window.pointee.inputCount &-= taken
    }

    /// The length of the record in the part, if it is whole.
    private func collectedLength() -> Int? {
        guard let part, partCount >= Self.headerBytes else { return nil }
        let length = Self.length(part)
        return partCount == Self.headerBytes &+ length ? length : nil
    }

    private mutating func dropPart() {
        Glibc.free(part)
        part = nil
        partCount = 0
    }

    /// Opens one whole record, and does what it asks for.
    private mutating func openOne(
        _ record: UnsafePointer<UInt8>, _ bodyCount: Int,
        into bytes: UnsafeMutablePointer<UInt8>, _ opened: inout Opened, _ buffers: RecordBuffers
    ) {
        let plain = bytes + opened.count
        guard buffers.ciphers.open(record, bodyCount: bodyCount, &reading, suite, into: plain)
        else {
            fail(.badRecordMAC, buffers)
            return
        }
        var count = bodyCount &- RecordSuite.tagBytes
        // Content, type and padding together have a bound too (RFC 8446 §5.4).
        guard count <= Self.plainBytesMax &+ 1 else {
            fail(.recordOverflow, buffers)
            return
        }
        // The type is the last byte that is not zero: what follows is padding (RFC 8446 §5.4).
        while count > 0 && plain[count &- 1] == 0 { count &-= 1 }
        guard count > 0, let type = RecordType(rawValue: plain[count &- 1]) else {
            fail(.unexpectedMessage, buffers)
            return
        }
        count &-= 1
        guard count <= fragmentBytesMax else {
            fail(.recordOverflow, buffers)
            return
        }
        // A message that records cut is not to be interrupted (RFC 8446 §5.1).
        guard type == .handshake || !isWithinMessage else {
            fail(.unexpectedMessage, buffers)
            return
        }
        if type == .applicationData {
            opened.count &+= count
            if count > 0 { opened.dataRecords &+= 1 } else { opened.quietRecords &+= 1 }
            return
        }
        opened.quietRecords &+= 1
        take(type, plain, count: count, buffers)
    }
}
