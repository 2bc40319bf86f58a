// SPDX-License-Identifier: Apache-2.0
public import Reactor
public import TLS
import Wire

/// What the relays of one reactor work with while bytes are in flight, and share.
///
/// It lives behind one pointer per reactor, so that reaching it costs no exclusivity check and no
/// reference count. An idle relay owns nothing of it.
public struct Workspace: ~Copyable {
    /// Room in front of both buffers, where an incomplete frame header of the last read is put so
    /// that the bytes of a frame always lie in one piece.
    public static let headroom = 16

    /// Bytes of one `recv`.
    public private(set) var receiveCapacity: Int
    /// Where sockets are read into: `receiveCapacity` bytes, with `headroom` in front.
    public private(set) var received: UnsafeMutablePointer<UInt8>
    /// Where records are opened into: `receiveCapacity` and one record, with `headroom` in front.
    public private(set) var opened: UnsafeMutablePointer<UInt8>
    /// Bytes that `opened` holds.
    public private(set) var openedCapacity: Int
    /// Where control frames of our own are written: `ControlFrame.byteCountMax` bytes.
    let control: UnsafeMutablePointer<UInt8>
    /// The window through which the sessions of this reactor read and write.
    public let records: RecordBuffers
    /// Chunks lent to relays whose destination is full.
    public var pool: BufferPool
    /// Who listens to relays.
    public var taps = TapTable()
    /// The time of this turn, so that nobody asks the clock again.
    public var nowMilliseconds: UInt64
    /// Bytes that one relay may move before the others get their turn.
    public var pumpBytesMax: Int
    /// How long the ends of relays may take.
    public var patience: Patience

    /// Allocates the buffers.
    ///
    /// `engine` seals and opens records of sessions that have released OpenSSL's object.
    public init(
        receiveCapacity: Int, pumpBytesMax: Int = 256 * 1024, patience: Patience,
        engine: RecordEngine = .openSSL
    ) {
        self.receiveCapacity = receiveCapacity
        self.pumpBytesMax = pumpBytesMax
        self.patience = patience
        openedCapacity = Self.openedCapacity(receiveCapacity)
        received = Self.buffer(receiveCapacity)
        opened = Self.buffer(openedCapacity)
        control = .allocate(capacity: ControlFrame.byteCountMax)
        records = RecordBuffers(
            outputCapacity: Self.outputCapacity(openedCapacity), engine: engine)
        pool = BufferPool()
        nowMilliseconds = Clock.nowMilliseconds()
    }

    /// Reads so many bytes at once from now on; not while bytes are in flight.
    public mutating func resize(receiveCapacity new: Int) {
        if new == receiveCapacity { return }
        (received - Self.headroom).deallocate()
        (opened - Self.headroom).deallocate()
        receiveCapacity = new
        openedCapacity = Self.openedCapacity(new)
        received = Self.buffer(receiveCapacity)
        opened = Self.buffer(openedCapacity)
        records.resize(outputCapacity: Self.outputCapacity(openedCapacity))
    }

    /// One record may wait in the session from earlier reads and complete in this one.
    private static func openedCapacity(_ receiveCapacity: Int) -> Int {
        receiveCapacity + 17 * 1024
    }

    /// Each 16 KiB record adds at most 256 bytes in any suite, and a Close may follow.
    private static func outputCapacity(_ openedCapacity: Int) -> Int { 2 * openedCapacity }

    deinit {
        (received - Self.headroom).deallocate()
        (opened - Self.headroom).deallocate()
        control.deallocate()
        records.free()
    }

    /// Room behind both buffers, for the end of a chunk.
    private static let tailroom = 16

    private static func buffer(_ capacity: Int) -> UnsafeMutablePointer<UInt8> {
        let size = headroom + capacity + tailroom
        let start = UnsafeMutablePointer<UInt8>.allocate(capacity: size)
        start.initialize(repeating: 0, count: size)
        return start + headroom
    }
}

/// How long the end of a relay may take, in milliseconds.
public struct Patience: Sendable, Equatable {
    /// From the first Close, or the loss of a peer, until both sides are cut.
    public var closingMilliseconds: UInt64
    /// For the peers to close their side of TCP once everything has been said.
    public var lingerMilliseconds: UInt64

    /// Times in milliseconds: for closing, and for lingering after the last byte.
    public init(closingMilliseconds: UInt64, lingerMilliseconds: UInt64) {
        self.closingMilliseconds = closingMilliseconds
        self.lingerMilliseconds = lingerMilliseconds
    }
}
