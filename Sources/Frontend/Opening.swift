// SPDX-License-Identifier: Apache-2.0
import Reactor
import Router
import TLS
import Wire

/// What a connection needs from accept until its tunnel is open, and no longer.
///
/// It is apart from the slot, so that an idle relay does not carry it.
final class Opening {
    /// Where the connection is on its way.
    enum Phase {
        /// Waiting for the first byte: TLS, or something that isn't.
        case sniffing
        /// The TLS handshake.
        case handshaking
        /// Plain HTTP came on a TLS port; its head is read to be able to name the right URL.
        case misaddressed
        /// The request head.
        case head
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
    let listener: Int
    let acceptedMilliseconds: UInt64
    var requestParser: RequestHeadParser
    var answerParser: ResponseHeadParser
    /// Client bytes behind the request head, held until the tunnel is proven.
    var early: [UInt8] = []
    /// The session ticket, which travels with the answer rather than in a packet of its own.
    var ticket: [UInt8] = []
    var request: UpgradeRequest?
    var route: Route?
    /// The path to ask the upstream for.
    var path: [UInt8] = []
    /// The endpoint being tried, and those tried before.
    var endpoint: Int?
    var tried: [Int] = []
    /// Addresses of the present endpoint that were not tried yet.
    var addresses: ArraySlice<Address> = []
    /// When all attempts together must have succeeded.
    var connectDeadlineMilliseconds: UInt64 = 0
    /// What the last attempt failed with.
    var lastFailure: Refusal?

    init(listener: Int, acceptedMilliseconds: UInt64, limits: HeadLimits) {
        self.listener = listener
        self.acceptedMilliseconds = acceptedMilliseconds
        requestParser = RequestHeadParser(limits: limits)
        answerParser = ResponseHeadParser(limits: limits)
    }
}

/// What stays known of a connection as long as it lives.
final class ConnectionNotes {
    let acceptedMilliseconds: UInt64
    let client: Address
    let listener: Int
    var tls: TLSFacts?
    var host = ""
    var path = ""
    var route = ""
    var upstream = ""
    var status = 0
    var proxyError = ""
    var detail = ""
    /// The endpoint in use, counted in the picker from `opened` to `closed`.
    var group: EndpointGroup?
    var endpoint = 0

    init(client: Address, listener: Int, acceptedMilliseconds: UInt64) {
        self.client = client
        self.listener = listener
        self.acceptedMilliseconds = acceptedMilliseconds
    }
}
