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
    /// Records written with the keys in use, which are those of application data.
    var writtenCount: UInt32 = 0
    /// Bytes of the record in progress that are still to come.
    private var bodyLeft: UInt16 = 0
    /// Bytes of a header that have come.
    private var headerCount: UInt8 = 0
    private var lengthHigh: UInt8 = 0
    /// Bytes that may still be read and written before the session is a busy one.
    private var quietBytes = (read: Self.busyBytes, written: Self.busyBytes)
    /// Something passed by which the keys or the numbers may have changed.
    var isUncertain = false
    /// The session is a client's, whose context tells of messages behind the handshake
    /// (`RecordBIO.countMessages`): tickets among them are of no account.
    var isOfClient = false
    /// Bytes of content of which nobody knows yet what they are, modulo 2^16: at the border of a record there are none,
    /// unless one was padded or OpenSSL has a part of a message.
    ///
    /// It stands last, where the others leave room for it in each relay.
    private(set) var unexplained: UInt16 = 0

    /// Bytes in one direction, as they travel, after which a session is a busy one.
    static let busyBytes: Int32 = 64 * 1_024

    /// Records after which keys for writing are replaced: below the 2^24.5 of RFC 8446 §5.5 by more than one
    /// call can make.
    static let recordsPerKeyMax: UInt32 = 1 << 23

    /// Takes note that OpenSSL writes with new keys from the next record on.
    mutating func beginWritingKeys() {
        writtenCount = 0
        isUncertain = true
    }

    /// Whether so much has passed in one direction that the session had better leave OpenSSL.
    var isBusy: Bool { quietBytes.read <= 0 || quietBytes.written <= 0 }

    /// Has the session count as quiet for 2 GiB more, since it can't leave OpenSSL.
    mutating func countAsQuiet() { quietBytes = (.max, .max) }

    /// Whether no record is half read.
    var isAtBorder: Bool { bodyLeft == 0 && headerCount == 0 }

    /// Bytes that are still to come of a record whose header has been read; 0 for none.
    var recordBytesLeft: Int { headerCount == 0 ? Int(bodyLeft) : 0 }

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
                // Behind the content stand its type and the tag.
                unexplained &+= bodyLeft &- UInt16(1 + RecordSuite.tagBytes)
                // An empty record is an error, which OpenSSL finds.
                if bodyLeft == 0 { whole &+= 1 }
            }
            at &+= 1
        }
        readCount &+= whole
        if quietBytes.read > 0 { quietBytes.read &-= Int32(truncatingIfNeeded: count) }
        return Int32(truncatingIfNeeded: whole)
    }

    /// Takes note of bytes of content that OpenSSL has given out, or told of.
    mutating func explain(_ count: Int) { unexplained &-= UInt16(truncatingIfNeeded: count) }

    /// Takes note of whole records that OpenSSL has written, those of application data alone.
    mutating func wrote(_ bytes: UnsafePointer<UInt8>, count: Int) {
        var at = 0
        while at &+ RecordLayer.headerBytes <= count {
            let length = Int(bytes[at &+ 3]) << 8 | Int(bytes[at &+ 4])
            if bytes[at] == RecordType.applicationData.rawValue { writtenCount &+= 1 }
            at &+= RecordLayer.headerBytes &+ length
        }
        if quietBytes.written > 0 { quietBytes.written &-= Int32(truncatingIfNeeded: count) }
        // More than this in OpenSSL's form is not this session's life: it may not leave it.
        let most = Self.recordsPerKeyMax
        if at != count || writtenCount > most || readCount > most { isUncertain = true }
    }
}
