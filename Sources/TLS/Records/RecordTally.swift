// SPDX-License-Identifier: Apache-2.0

/// What kind of message a record carries (RFC 8446 §5.1).
enum RecordType: UInt8 {
    case alert = 21
    case handshake = 22
    case applicationData = 23
}

/// Counts the records that pass through OpenSSL, by their headers.
///
/// The numbers of the next records follow from it, and whether one is half read.
struct RecordTally {
    /// Whole records read since the handshake was done.
    private(set) var readCount: UInt32 = 0
    /// Records written since the keys of application data were in use.
    private(set) var writtenCount: UInt32 = 0
    /// Bytes of the record in progress that are still to come.
    private var bodyLeft: UInt16 = 0
    /// Bytes of a header that have come.
    private var headerCount: UInt8 = 0
    private var lengthHigh: UInt8 = 0
    /// Something passed by which the keys or the numbers may have changed.
    var isUncertain = false

    /// Whether no record is half read.
    var isAtBorder: Bool { bodyLeft == 0 && headerCount == 0 }

    /// Takes note of bytes that OpenSSL has read.
    ///
    /// - Returns: how many records they completed.
    mutating func read(_ bytes: UnsafePointer<UInt8>, count: Int) -> Int32 {
        var at = 0
        var whole: UInt32 = 0
        while at < count {
            if bodyLeft > 0 {
                let taken = min(Int(bodyLeft), count &- at)
                at &+= taken
                bodyLeft &-= UInt16(truncatingIfNeeded: taken)
                if bodyLeft == 0 { whole &+= 1 }
                continue
            }
            if headerCount == 3 { lengthHigh = bytes[at] }
            headerCount &+= 1
            if Int(headerCount) == RecordLayer.headerBytes {
                bodyLeft = UInt16(lengthHigh) << 8 | UInt16(bytes[at])
                headerCount = 0
                // An empty record is an error, which OpenSSL finds.
                if bodyLeft == 0 { whole &+= 1 }
            }
            at &+= 1
        }
        readCount &+= whole
        return Int32(truncatingIfNeeded: whole)
    }

    /// Takes note of whole records that OpenSSL has written, those of application data alone.
    mutating func wrote(_ bytes: UnsafePointer<UInt8>, count: Int) {
        var at = 0
        while at &+ RecordLayer.headerBytes <= count {
            let length = Int(bytes[at &+ 3]) << 8 | Int(bytes[at &+ 4])
            if bytes[at] == RecordType.applicationData.rawValue { writtenCount &+= 1 }
            at &+= RecordLayer.headerBytes &+ length
        }
        // More than this in OpenSSL's form is not this session's life: it may not leave it.
        if at != count || writtenCount > 1 << 23 || readCount > 1 << 23 { isUncertain = true }
    }
}
