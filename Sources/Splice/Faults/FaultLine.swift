// SPDX-License-Identifier: Apache-2.0
import Ledger
import Metrics
import Wire

/// The faults of one relay: what both of its directions have in common.
final class FaultCourse {
    let plan: FaultPlan
    /// Where it is counted what has acted; nil for nowhere.
    private let tally: UnsafePointer<RelayTally>?
    private let began: UInt64
    /// Stalls that have held something back.
    private var stalls: UInt64 = 0
    /// What has acted on the relay so far.
    private(set) var acted: FaultKinds
    /// Nothing is done any more: the connection was cut or reset, or the relay was not drawn.
    private(set) var isSpent = false
    /// The connection was cut or reset.
    private(set) var hasStruck = false

    init(_ carried: CarriedFaults, tally: UnsafePointer<RelayTally>?) {
        plan = carried.plan
        self.tally = tally
        began = carried.beganMilliseconds
        stalls = carried.stalls
        acted = carried.acted
        isSpent = carried.isSpent
    }

    /// What another reactor has to know of it.
    var carried: CarriedFaults {
        CarriedFaults(
            plan: plan, beganMilliseconds: began, stalls: stalls, acted: acted, isSpent: isSpent)
    }

    init(
        _ plan: FaultPlan, acted: FaultKinds, tally: UnsafePointer<RelayTally>?,
        nowMilliseconds now: UInt64
    ) {
        self.plan = plan
        self.acted = acted
        self.tally = tally
        began = now
    }

    var rules: FaultRules { plan.rules }

    func isOver(_ now: UInt64) -> Bool { isSpent || plan.isOver(nowMilliseconds: now) }

    func spend() { isSpent = true }

    func strike() {
        isSpent = true
        hasStruck = true
    }

    func note(_ kind: FaultKind) {
        acted.insert(FaultKinds(kind))
        tally?.pointee.faults.add(1, at: Int(kind.rawValue))
    }

    /// Until when something that waits now is held back by a stall; 0 where there is none.
    func stallEnd(_ now: UInt64) -> UInt64 {
        let length = rules.stallMilliseconds
        if length == 0 { return 0 }
        let elapsed = now &- began
        let every = rules.stallEveryMilliseconds
        let number = every == 0 ? 0 : elapsed / every
        let phase = elapsed &- number &* every
        if phase >= length { return 0 }
        if stalls <= number {
            stalls = number &+ 1
            note(.stall)
        }
        return now &- phase &+ length
    }
}

/// How far the faults of a relay have come when it goes to another reactor of the process.
public struct CarriedFaults: Sendable {
    /// What is done, and until when.
    public let plan: FaultPlan
    let beganMilliseconds: UInt64
    let stalls: UInt64
    let acted: FaultKinds
    let isSpent: Bool
}

/// What is on its way in one direction of a relay that has faults: bytes of whole frames, and when each may go on.
///
/// Nobody but such a relay has one.
final class FaultLine {
    /// Bytes that are held before the source is not read any more.
    static let heldBytesMax = 256 * 1_024
    /// Bytes of a piece where faults know nothing of frames.
    static let pieceBytesMax = 64

    /// How long a line waits whose destination takes nothing.
    static let blockedMilliseconds: UInt64 = 1_000
    /// Bytes that a stream is given before it has sent those of before.
    static let streamBytesMax = 64 * 1_024

    private struct Piece {
        var count: Int
        let due: UInt64
    }

    let course: FaultCourse
    private var bytes: [UInt8] = []
    /// How many of `bytes` have gone on.
    private var gone = 0
    private var pieces: [Piece] = []
    private var firstPiece = 0
    /// Bytes that the frame in progress still has.
    private var outstanding: UInt64
    /// By how much the frame or piece in progress is late.
    private var delay: UInt64 = 0
    /// Bytes that the piece in progress may still have.
    private var pieceLeft = 0
    /// What is done to the frame in progress, and how many of its bytes go on before.
    private var strike: (kind: FaultKind, after: UInt64)?
    /// The connection is to be cut or reset once what is here has gone on; nothing is taken any more.
    private(set) var struck: FaultKind?
    /// Thousandths of a byte that may go on.
    private var byteThousandths: UInt64 = 0
    private var filledMilliseconds: UInt64
    private var waitsForBandwidth = false

    /// A line that nothing is on; of the frame in progress so many bytes have still to come.
    init(_ course: FaultCourse, outstanding: UInt64, nowMilliseconds now: UInt64) {
        self.course = course
        self.outstanding = outstanding
        filledMilliseconds = now
    }

    /// Bytes that have not gone on.
    var count: Int { bytes.count &- gone }
    var isEmpty: Bool { count == 0 }
    var isFull: Bool { count >= Self.heldBytesMax }
    /// Whether the connection is still to be cut or reset.
    var isAboutToStrike: Bool { struck != nil && !course.isSpent }

    /// Whether what comes now has to come here.
    func isInTheWay(_ now: UInt64) -> Bool { !isEmpty || struck != nil || !course.isOver(now) }

    /// Whether what is due may be sent together with what is due beside it.
    func sendsWhole(_ now: UInt64) -> Bool {
        course.rules.level == .frames || course.isOver(now)
    }

    // MARK: In

    /// Takes bytes: the rest of a frame, then whole headers and what stands behind them.
    ///
    /// No connection is cut for the sake of a frame that is Sluice's own.
    func take(
        _ start: UnsafePointer<UInt8>, count: Int, _ now: UInt64, isOwn: Bool = false
    ) {
        var at = 0
        while at < count, struck == nil {
            if outstanding == 0 {
                beginFrame(start + at, count: count &- at, now, isOwn: isOwn)
            }
            var run = Int(truncatingIfNeeded: min(outstanding, UInt64(count &- at)))
            if course.isOver(now) { strike = nil }
            if let strike {
                if strike.after == 0 {
                    struck = strike.kind
                    return
                }
                run = Int(truncatingIfNeeded: min(UInt64(run), strike.after))
            }
            if course.rules.level == .bytes {
                if pieceLeft == 0 {
                    pieceLeft = Int.random(in: 1...Self.pieceBytesMax)
                    drawDelay(now)
                }
                run = min(run, pieceLeft)
                pieceLeft &-= run
            }
            append(start + at, run, now)
            at &+= run
            outstanding &-= UInt64(run)
            if let strike { self.strike = (strike.kind, strike.after &- UInt64(run)) }
        }
        if let strike, strike.after == 0, struck == nil, !course.isOver(now) {
            struck = strike.kind
        }
    }

    private func beginFrame(
        _ start: UnsafePointer<UInt8>, count: Int, _ now: UInt64, isOwn: Bool
    ) {
        guard let (header, length) = FrameHeader.decode(start, count: count) else {
            assertionFailure("bytes go on that begin with half a header")
            outstanding = UInt64(count)
            return
        }
        outstanding = header.payloadLength &+ UInt64(length)
        if course.rules.level == .frames { drawDelay(now) }
        strike = nil
        if isOwn { return }
        let rules = course.rules
        if FaultPlan.draws(rules.cut) {
            let first =
                rules.level == .frames && header.payloadLength > 0 ? UInt64(length) : 1
            strike = (.cut, UInt64.random(in: first..<max(outstanding, first &+ 1)))
        } else if FaultPlan.draws(rules.reset) {
            // In place of a frame, or anywhere in it.
            strike = (
                .reset, rules.level == .frames ? 0 : UInt64.random(in: 0..<outstanding)
            )
        }
    }

    private func drawDelay(_ now: UInt64) {
        delay = 0
        // What comes then waits for what is here before it, and for nothing else.
        if course.isOver(now) { return }
        let rules = course.rules
        let jitter = rules.jitterMilliseconds
        delay = rules.latencyMilliseconds
        if jitter > 0 {
            delay = UInt64.random(in: (delay &- min(delay, jitter))...(delay &+ jitter))
        }
        if delay > 0 { course.note(.latency) }
    }

    private func append(_ start: UnsafePointer<UInt8>, _ count: Int, _ now: UInt64) {
        bytes.append(contentsOf: UnsafeBufferPointer(start: start, count: count))
        // The time of a turn is that of its begin, and so up to a millisecond behind.
        var due = delay > 0 ? now &+ delay &+ 1 : now
        if let last = pieces.last, firstPiece < pieces.count { due = max(due, last.due) }
        pieces.append(Piece(count: count, due: due))
    }

    // MARK: Out

    /// How many of the first bytes may go on now; 0 where they have to wait.
    func dueCount(_ now: UInt64) -> Int {
        guard firstPiece < pieces.count else { return 0 }
        let piece = pieces[firstPiece]
        if course.isOver(now) { return piece.count }
        if piece.due > now || course.stallEnd(now) > now { return 0 }
        let rate = course.rules.bytesPerSecond
        if rate == 0 { return piece.count }
        refill(rate, now)
        let allowed = Int(byteThousandths / 1_000)
        if allowed >= min(piece.count, least(rate)) { return min(allowed, piece.count) }
        if !waitsForBandwidth {
            waitsForBandwidth = true
            course.note(.bandwidth)
        }
        return 0
    }

    /// When to ask again, where something waits.
    func resumeMilliseconds(_ now: UInt64) -> UInt64 {
        guard firstPiece < pieces.count, !course.isOver(now) else { return now &+ 1 }
        let piece = pieces[firstPiece]
        let due = max(piece.due, course.stallEnd(now))
        if due > now { return min(due, course.plan.endMilliseconds) }
        let rate = course.rules.bytesPerSecond
        if rate == 0 { return now &+ 1 }
        let wanted = UInt64(min(piece.count, least(rate))) &* 1_000
        if byteThousandths >= wanted { return now &+ 1 }
        return now &+ max(1, (wanted &- byteThousandths) / rate)
    }

    /// A twentieth of a second's worth goes on at once, so that a slow line does not go on byte by byte.
    private func least(_ rate: UInt64) -> Int { Int(max(1, rate / 20)) }

    private func refill(_ rate: UInt64, _ now: UInt64) {
        guard now > filledMilliseconds else { return }
        let elapsed = min(now &- filledMilliseconds, 1_000)
        filledMilliseconds = now
        // No more than may go on at once: who was silent has saved nothing up.
        byteThousandths = min(
            UInt64(least(rate)) &* 1_000, byteThousandths &+ elapsed &* rate)
    }

    /// The first bytes, of which `dueCount` has told how many may go on.
    func withFirst<Outcome>(_ act: (UnsafePointer<UInt8>) -> Outcome) -> Outcome? {
        bytes.withUnsafeBufferPointer { buffer in buffer.baseAddress.map { act($0 + gone) } }
    }

    /// The first bytes have gone on.
    func drop(_ count: Int, _ now: UInt64) {
        if course.rules.bytesPerSecond > 0 {
            byteThousandths &-= min(byteThousandths, UInt64(count) &* 1_000)
        }
        gone &+= count
        pieces[firstPiece].count &-= count
        if pieces[firstPiece].count == 0 {
            firstPiece &+= 1
            waitsForBandwidth = false
        }
        if gone == bytes.count {
            discard()
        } else if gone >= Self.heldBytesMax {
            bytes.removeFirst(gone)
            gone = 0
            pieces.removeFirst(firstPiece)
            firstPiece = 0
        }
    }

    /// Forgets what is on the line.
    func discard() {
        // An idle relay holds no memory for what passed before.
        bytes = []
        gone = 0
        pieces = []
        firstPiece = 0
    }
}
