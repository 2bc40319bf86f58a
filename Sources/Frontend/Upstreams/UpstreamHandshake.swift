// SPDX-License-Identifier: Apache-2.0
import Reactor
import Splice
import TLS

/// Takes a new connection to an endpoint through the TLS handshake.
///
/// The time for an attempt to connect is the time for both. What the endpoint sends before the handshake is
/// done is TLS or nothing.
struct UpstreamHandshake {
    /// How far it is.
    enum Progress {
        /// The endpoint has to say more, or the connection does not stand yet.
        case underWay
        /// Data may flow: what ends the handshake waits in the records' output, to leave with it.
        case done
        /// There is no TLS on this connection.
        case failed(DialFailure)
    }

    let state: StatePointer

    init(_ state: StatePointer) { self.state = state }

    private var space: UnsafeMutablePointer<Workspace> { state.pointee.space }

    /// Goes on as far as what has come allows; `introduction` are the bytes in front of the handshake.
    func advance(
        _ slot: UnsafeMutablePointer<UpstreamConnection>, introduction: () -> [UInt8]
    ) -> Progress {
        guard let destination = slot.pointee.destination, slot.pointee.leg.tls != nil else {
            return .failed(.tls(.unusableName))
        }
        if !slot.pointee.hasBegunHandshake {
            if let failure = begin(slot, destination, introduction()) { return .failed(failure) }
        } else if !slot.pointee.leg.held.isEmpty {
            _ = slot.pointee.leg.drain(space)
        }
        while slot.pointee.leg.isReadable && !slot.pointee.leg.hasEnded {
            let received = slot.pointee.leg.receiveRaw(space)
            if received.count == 0 { continue }
            slot.pointee.handshakeBytes += received.count
            if slot.pointee.handshakeBytes > TLSSession.handshakeBytesMax {
                return .failed(.tls(.endless))
            }
            switch step(slot, destination, received) {
            case .underWay: continue
            case let end: return end
            }
        }
        if slot.pointee.leg.isUnwritable { return .failed(.tls(.reset)) }
        return slot.pointee.leg.hasEnded ? .failed(.tls(.ended)) : .underWay
    }

    /// Sends what comes first; it is held where the connection does not stand yet.
    private func begin(
        _ slot: UnsafeMutablePointer<UpstreamConnection>, _ destination: TLSDestination,
        _ introduction: [UInt8]
    ) -> DialFailure? {
        let records = space.pointee.records
        records.setInput(UnsafePointer(space.pointee.received), count: 0)
        guard slot.pointee.leg.tls?.handshake() == .wantsInput else {
            records.clearOutput()
            return .tls(fault(slot, destination))
        }
        slot.pointee.hasBegunHandshake = true
        let first = introduction + records.takeOutput()
        let code = slot.pointee.leg.sendFirst(first, space)
        return code == 0 ? nil : DialFailure(code)
    }

    private func step(
        _ slot: UnsafeMutablePointer<UpstreamConnection>, _ destination: TLSDestination,
        _ received: Leg.Received
    ) -> Progress {
        if !slot.pointee.hasHeardHandshake {
            slot.pointee.hasHeardHandshake = true
            guard TLSSession.mayBegin(with: received.bytes[0]) else {
                return .failed(
                    .tls(
                        .plain(UnsafeRawBufferPointer(start: received.bytes, count: received.count))
                    )
                )
            }
        }
        space.pointee.records.setInput(received.bytes, count: received.count)
        switch slot.pointee.leg.tls?.handshake() ?? .failed {
        case .wantsInput:
            slot.pointee.leg.flushRecords(space)
            return .underWay
        case .failed:
            let fault = fault(slot, destination)
            // The endpoint is told why, in an alert.
            slot.pointee.leg.flushRecords(space)
            return .failed(.tls(fault))
        case .done: break
        }
        slot.pointee.leg.tls?.giveSessionBack()
        if space.pointee.records.inputRemaining > 0 {
            let rest = slot.pointee.leg.openRest(space)
            if rest.count > 0 { return .failed(.tls(.early)) }
            if slot.pointee.leg.isBroken { return .failed(.tls(fault(slot, destination))) }
            if slot.pointee.leg.hasEnded { return .failed(.tls(.ended)) }
        }
        return .done
    }

    private func fault(
        _ slot: UnsafeMutablePointer<UpstreamConnection>, _ destination: TLSDestination
    ) -> DestinationFault {
        slot.pointee.leg.tls?.takeDestinationFault(of: destination.serverName) ?? .ended
    }
}
