// SPDX-License-Identifier: Apache-2.0
import Reactor
import Router
import Splice
import TLS
import Wire

/// What a connection needs from accept until its tunnel is open, and no longer.
///
/// It is apart from the slot, so that an idle relay does not carry it.
final class Opening {
    /// Where the connection is on its way.
    enum Phase {
        /// The header in which a load balancer says who has connected.
        case introduction
        /// Waiting for the first byte: TLS, or something that isn't.
        case sniffing
        /// The TLS handshake.
        case handshaking
        /// Plain HTTP came on a TLS port; its head is read to be able to name the right URL.
        case misaddressed
        /// The request head.
        case head
        /// Waiting for a place at an endpoint.
        case waiting
        /// Connecting to the upstream.
        case dialing
        /// Waiting for the upstream's answer.
        case answer
        /// An answer was sent; the client may read it.
        case leaving
    }

    var phase = Phase.sniffing
    /// The handshake is waiting for its turn (`FrontendSettings.handshakesPerTurn`).
    var isDeferred = false
    let acceptedMilliseconds: UInt64
    var requestParser: RequestHeadParser
    var answerParser: ResponseHeadParser
    /// Something of an answer has come: the request was not lost on the way.
    var hasAnswerBytes = false
    /// Client bytes behind the request head, held until the tunnel is proven.
    var early: [UInt8] = []
    var request: UpgradeRequest?
    var plan: RoutePlan?
    /// The path to ask the upstream for.
    var path: [UInt8] = []
    var dialing: Dialing?

    init(acceptedMilliseconds: UInt64, limits: HeadLimits) {
        self.acceptedMilliseconds = acceptedMilliseconds
        requestParser = RequestHeadParser(limits: limits)
        answerParser = ResponseHeadParser(limits: limits)
    }
}

/// What stays known of a connection as long as it lives.
final class ConnectionNotes {
    let acceptedMilliseconds: UInt64
    /// Who connected: to us, or to the balancer that said so.
    var peer: Address { didSet { client = peer } }
    /// Who asks: the same, or whom a trusted proxy names for the present request.
    var client: Address
    let listener: ListenerFacts
    var tls: TLSFacts?
    /// When the present request was read, on a connection that carries several.
    var requestMilliseconds: UInt64?
    /// The method of an ordinary request.
    var method = ""
    var host = ""
    var path = ""
    /// What holds for the request's route.
    var plan: RoutePlan?
    /// Set once the tunnel is open: it counts among the route's relays.
    var isCounted = false
    /// Where the connection has taken a place, as `client`, who stays the same from then on.
    var admission: Admission?
    /// What its relay shares with the client's others, until that is open.
    var rates: ClientRates?
    /// It counts among the connections of its client.
    var isClientCounted = false
    /// The drain that ends the relay.
    var drain: Drain?
    var upstream = ""
    /// A WebSocket was asked for, and the upstream has answered something else.
    var triedUpgrade = false
    var status = 0
    var proxyError = ""
    var detail = ""
    /// The endpoint in use, with a place that was claimed there and is given back.
    var group: EndpointGroup?
    var endpoint = 0
    /// Where it waits for such a place.
    var waiting: PlaceInLine?
    /// Until when the present request waits, once it has begun to.
    var waitDeadlineMilliseconds: UInt64?

    /// The route's pattern; empty where none was found.
    var route: String { plan?.route.name ?? "" }

    init(client: Address, listener: ListenerFacts, acceptedMilliseconds: UInt64) {
        peer = client
        self.client = client
        self.listener = listener
        self.acceptedMilliseconds = acceptedMilliseconds
    }

    /// Keeps a place at an endpoint, which was claimed.
    func takeEndpoint(_ index: Int, of group: EndpointGroup) {
        self.group = group
        endpoint = index
        upstream = group.endpoints[index].label
    }

    /// Gives the place at the endpoint back, and the one in the line for it.
    func letEndpointGo() {
        if let group {
            group.closed(endpoint)
            self.group = nil
        }
        if let waiting {
            waiting.queue.leave(waiting.number)
            self.waiting = nil
        }
    }

    /// Forgets what was noted of a request, before the next one on the same connection.
    func forgetRequest() {
        letEndpointGo()
        if admission == nil { client = peer }
        waitDeadlineMilliseconds = nil
        requestMilliseconds = nil
        method = ""
        host = ""
        path = ""
        plan = nil
        upstream = ""
        triedUpgrade = false
        status = 0
        proxyError = ""
        detail = ""
    }
}
