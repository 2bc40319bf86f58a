// SPDX-License-Identifier: Apache-2.0
import Reactor
import Router
import Splice
import Wire

/// Logins that belong to a connection (NTLM, Negotiate; RFC 4559 §6). The rules:
///
/// 1. From the first field of such a scheme, in a request or an answer, the connection to the endpoint is
///    that client's alone. It never goes into the pool, and is closed with the client's connection.
/// 2. It carries the client's further requests to that endpoint, upgrades among them, since the endpoint
///    takes whatever comes on it for that user's.
/// 3. An upgrade that is answered with 401 or 407 within such a login leaves both connections as they are.
extension Worker {
    /// Binds a connection to the client whose request or answer has such fields.
    func noteLogin(
        _ fields: borrowing FieldList, _ slot: UnsafeMutablePointer<UpstreamConnection>,
        _ connection: UnsafeMutablePointer<Connection>
    ) {
        if fields.logsConnectionIn { noteLogin(slot, connection) }
    }

    func noteLogin(
        _ slot: UnsafeMutablePointer<UpstreamConnection>,
        _ connection: UnsafeMutablePointer<Connection>
    ) {
        slot.pointee.hasLogin = true
        slot.pointee.client = connection.pointee.notes.client
    }

    /// Whether a connection is this client's alone and begins as the group wants it.
    ///
    /// Behind a trusted proxy the requests of several may come on one connection.
    func isAlone(
        _ slot: UnsafeMutablePointer<UpstreamConnection>,
        _ connection: UnsafeMutablePointer<Connection>, _ group: EndpointGroup
    ) -> Bool {
        slot.pointee.client == connection.pointee.notes.client
            && slot.pointee.isIntroduced == (group.introduction != nil)
    }

    /// Whether an answer to an upgrade is a step of a login that the client can go on with.
    ///
    /// Not where bytes came behind the request: they were meant for the tunnel.
    func isWithinLogin(_ opening: Opening, _ request: UpgradeRequest, _ answer: ResponseHead)
        -> Bool
    {
        (answer.status == 401 || answer.status == 407) && opening.early.isEmpty
            && opening.requestCount + 1 < snapshot.settings.requestsPerConnectionMax
            && (answer.fields.logsConnectionIn || request.head.fields.logsConnectionIn)
    }

    /// Gives the place on the route back: the next try takes one of its own.
    func givePlaceBack(_ notes: ConnectionNotes) {
        notes.admission?.leave(notes.client, nowMilliseconds: space.pointee.nowMilliseconds)
        notes.admission = nil
        notes.rates = nil
    }

    /// Sends an upgrade on the connection that was kept for the client, if a login belongs to it and its
    /// endpoint is one of the group's; else that connection is closed.
    ///
    /// - Returns: whether the upgrade is under way.
    mutating func upgradeOn(
        _ kept: Token, _ connection: UnsafeMutablePointer<Connection>, _ token: Token,
        _ opening: Opening, _ group: EndpointGroup
    ) -> Bool {
        let now = space.pointee.nowMilliseconds
        guard let slot = upstreams.pointer(kept), slot.pointee.hasLogin,
            isAlone(slot, connection, group), slot.pointee.isQuiet,
            slot.pointee.leg.socket.isQuiet(),
            let index = group.endpoints.firstIndex(where: { $0 === slot.pointee.endpoint }),
            group.picker.claim(only: index)
        else {
            closeUpstream(kept)
            return false
        }
        opening.dialing?.begin(with: index)
        let notes = connection.pointee.notes
        _ = opening.dialing?.nextEndpoint(notes, nowMilliseconds: now, crew.journal)
        var leg = Leg(.none())
        swap(&leg, &slot.pointee.leg)
        upstreamTimers.cancel(kept)
        upstreams.retire(kept)
        poller.modify(
            leg.socket.descriptor, token.tagged(Worker.backendTag), .edgeBoth)
        connection.pointee.relay.backend = leg
        opening.isOnLogin = true
        if !sendRequest(connection, token, opening) { dialAfresh(connection, token, opening) }
        return true
    }

    /// Dials the same endpoint anew, since the connection that was kept has ended meanwhile.
    mutating func dialAfresh(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ opening: Opening
    ) {
        opening.isOnLogin = false
        opening.phase = .dialing
        connection.pointee.relay.backend.release(space)
        connection.pointee.relay.backend = Leg(.none())
        opening.dialing?.dialAgain(
            deadlineMilliseconds: space.pointee.nowMilliseconds
                + snapshot.settings.connectMilliseconds)
        dialNext(connection, token, opening)
    }
}
