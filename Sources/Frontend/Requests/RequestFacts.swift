// SPDX-License-Identifier: Apache-2.0
import Access
import Ledger
import Reactor
import Wire

/// What the log is told of a request.
struct RequestFacts {
    /// What is said in words, and of few requests.
    private final class Words {
        var host = ""
        var path = ""
        var method = ""
        var proxyError: ProxyError?
        var detail = ""
        var isUpgrade = false
        var refusedBy: AccessRule?
        var user = ""
        var token: ProvenToken?
        var ownSubprotocol: [UInt8]?
        var isClientUnclear = false
        var faults: FaultKinds = []
        var relayName = RelayName.none
    }

    /// Who asks: who connected, or whom a trusted proxy names.
    var client: Address
    /// When it began: an ordinary request when it was read, an upgrade when its client connected or, in
    /// HTTP/2, when its stream began.
    var beganMilliseconds: UInt64
    /// What holds for its route.
    var plan: RoutePlan?
    /// The endpoint that was asked last.
    var endpoint: Endpoint?
    /// The status that the client was sent; 0 before.
    var status = 0
    /// Its place in a trace; none where nothing is traced.
    var trace = TraceSpan()
    /// Made with the first word: an ordinary request that is answered has none.
    private var words: Words?

    init(client: Address, beganMilliseconds: UInt64) {
        self.client = client
        self.beganMilliseconds = beganMilliseconds
    }

    /// The host that a WebSocket was asked of; that of an ordinary request is read out of its head.
    var host: String {
        get { words?.host ?? "" }
        set { withWords { $0.host = newValue } }
    }
    /// The path that a WebSocket was asked of; that of an ordinary request is read out of its head.
    var path: String {
        get { words?.path ?? "" }
        set { withWords { $0.path = newValue } }
    }
    /// The method, where it is no request for a WebSocket and was refused.
    var method: String {
        get { words?.method ?? "" }
        set { withWords { $0.method = newValue } }
    }
    /// The error type, where Sluice has refused it.
    var proxyError: ProxyError? {
        get { words?.proxyError }
        set { withWords { $0.proxyError = newValue } }
    }
    /// Whether it asked for a WebSocket, where it was refused before it was taken up.
    var isUpgrade: Bool {
        get { words?.isUpgrade ?? false }
        set { withWords { $0.isUpgrade = newValue } }
    }
    /// Which rule of the route's `access` has refused it.
    var refusedBy: AccessRule? {
        get { words?.refusedBy }
        set { withWords { $0.refusedBy = newValue } }
    }
    /// Who the client has proven to be; empty where the route does not ask.
    var user: String {
        get { words?.user ?? "" }
        set { withWords { $0.user = newValue } }
    }
    /// The token that it has proven; nil where the route asks for none.
    var token: ProvenToken? {
        get { words?.token }
        set { withWords { $0.token = newValue } }
    }
    /// The first subprotocol that was asked for beside a token; nil where its token did not come as one.
    var ownSubprotocol: [UInt8]? {
        get { words?.ownSubprotocol }
        set { withWords { $0.ownSubprotocol = newValue } }
    }
    /// Whether a trusted proxy has named somebody as the client that can't be read.
    var isClientUnclear: Bool {
        get { words?.isClientUnclear ?? false }
        set { withWords { $0.isClientUnclear = newValue } }
    }
    /// What was done to it on purpose.
    var faults: FaultKinds {
        get { words?.faults ?? [] }
        set { withWords { $0.faults = newValue } }
    }
    /// The name of the relay that it is to open; none where nobody is told.
    var relayName: RelayName {
        get { words?.relayName ?? .none }
        set { withWords { $0.relayName = newValue } }
    }
    /// Notes what can be read of a host and a target; the query stays out of the log.
    mutating func note(host: ArraySlice<UInt8>, target: ArraySlice<UInt8>) {
        if let name = try? HostName(parsing: host) { self.host = name.name }
        if let target = try? RequestTarget(parsing: target) {
            path = String(decoding: target.path, as: UTF8.self)
        }
    }

    /// What was wrong, in words.
    var detail: String {
        get { words?.detail ?? "" }
        set { withWords { $0.detail = newValue } }
    }

    /// The route's pattern; empty where none was found.
    var route: String { plan?.route.name ?? "" }
    /// The label of the endpoint that was asked last; empty for none.
    var upstream: String { endpoint?.label ?? "" }

    /// Changes words that no copy of these facts shares.
    private mutating func withWords(_ change: (Words) -> Void) {
        if words == nil {
            words = Words()
        } else if !isKnownUniquelyReferenced(&words), let shared = words {
            let own = Words()
            own.host = shared.host
            own.path = shared.path
            own.method = shared.method
            own.proxyError = shared.proxyError
            own.detail = shared.detail
            own.isUpgrade = shared.isUpgrade
            own.refusedBy = shared.refusedBy
            own.user = shared.user
            own.token = shared.token
            own.ownSubprotocol = shared.ownSubprotocol
            own.isClientUnclear = shared.isClientUnclear
            own.faults = shared.faults
            own.relayName = shared.relayName
            words = own
        }
        if let words { change(words) }
    }
}
