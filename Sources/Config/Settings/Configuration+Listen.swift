// SPDX-License-Identifier: Apache-2.0

/// One address to listen on.
public struct ListenerSettings: Sendable, Equatable {
    /// `127.0.0.1:8443`, `[::]:8443`, `:8443` or `unix:/path`.
    public var address: String
    /// How to speak TLS there; plain when nil.
    public var tls: TLSSettings?
    /// What holds for its connections that speak HTTP/2.
    public var http2 = HTTP2Settings()
    /// Whether every request is sent on to the listener that speaks TLS.
    public var redirectsToHTTPS: Bool
    /// Whether a load balancer says at the begin of each connection who has connected to it.
    public enum ProxyProtocol: String, Sendable, CaseIterable {
        /// Connections begin with TLS or HTTP at once.
        case none
        /// Each connection begins with a PROXY protocol header; one without it is closed.
        case required
    }

    /// Whether connections begin with a header of the PROXY protocol.
    public var proxyProtocol = ProxyProtocol.none
    /// What routes call it; nil where none names it.
    public var name: String?
    /// Proxies in front whose word on requests counts.
    public var trustedProxies: [PlacedBlock] = []
    /// Where it was written.
    public var place: SourcePlace
    /// Where its address was written; nil where that is its own place.
    public var addressPlace: SourcePlace?

    /// What it speaks, by the names of ALPN: HTTP/1.1 alone without TLS.
    public var protocolNames: [String] {
        (tls?.protocols ?? [.http11]).map(\.rawValue)
    }

    /// A listener made by hand.
    public init(
        address: String, tls: TLSSettings? = nil, redirectsToHTTPS: Bool = false,
        place: SourcePlace = .commandLine
    ) {
        self.address = address
        self.tls = tls
        self.redirectsToHTTPS = redirectsToHTTPS
        self.place = place
    }
}

/// What a client may do on a connection that speaks HTTP/2, and whether it has to be there.
public struct HTTP2Settings: Sendable, Equatable {
    /// Whether WebSockets may be opened on streams (RFC 8441).
    public var websockets = true
    /// Streams that are open at a time, requests and WebSockets.
    public var maxStreams = 128
    /// Bytes that one stream may send before the upstream has taken any of them.
    public var windowBytes = 1 << 17
    /// Streams that the client may cancel each second; ten times as many at once.
    public var resetsPerSecond = 30
    /// From the last that came of the client to a PING, where a stream is open.
    public var pingAfter = Duration.seconds(60)
    /// From a PING to the end of the connection, if nothing comes.
    public var pingTimeout = Duration.seconds(20)

    /// What holds where a file says nothing of it.
    public init() {}
}

/// How a listener speaks TLS.
public struct TLSSettings: Sendable, Equatable {
    /// The lowest version of TLS that is spoken.
    public enum Version: String, Sendable, CaseIterable {
        /// TLS 1.2 (RFC 5246).
        case tls12 = "1.2"
        /// TLS 1.3 (RFC 8446).
        case tls13 = "1.3"
    }

    /// The chains to choose from by name; the first is for clients that name none or an unknown one.
    public var certificates: [CertificateSettings]
    /// A protocol that is spoken within TLS, by its name in ALPN (RFC 7301 §6, RFC 9113 §3.1).
    public enum ApplicationProtocol: String, Sendable, CaseIterable {
        /// HTTP/2 (RFC 9113).
        case http2 = "h2"
        /// HTTP/1.1 (RFC 9112).
        case http11 = "http/1.1"
    }

    /// The protocols that clients may choose from; always with HTTP/1.1.
    public var protocols = [ApplicationProtocol.http2, .http11]
    /// The lowest version that is spoken.
    public var minimumVersion = Version.tls12
    /// Cipher suites of TLS 1.3 as OpenSSL names them, colons between; the library's when nil.
    public var cipherSuites: String?
    /// Where they were written; nil where they were not.
    public var cipherSuitesPlace: SourcePlace?
    /// Ciphers of TLS 1.2 as OpenSSL names them, colons between; Mozilla's intermediate when nil.
    public var ciphers: String?
    /// Where they were written; nil where they were not.
    public var ciphersPlace: SourcePlace?
    /// A group for the key exchange.
    public struct Group: Sendable, Equatable {
        /// The name, as OpenSSL has it.
        public var name: String
        /// Where it was written.
        public var place: SourcePlace

        /// A name, and where it was written.
        public init(_ name: String, place: SourcePlace = .commandLine) {
            self.name = name
            self.place = place
        }
    }

    /// Groups for the key exchange, preferred first; X25519, P-256 and P-384 when nil.
    public var groups: [Group]?
    /// What browsers are told about https; nothing when nil.
    public var hsts: TransportSecuritySettings?
    /// Where that was written.
    public var hstsPlace = SourcePlace.commandLine
    /// Whose clients are let in by their certificates; none are asked for when nil.
    public var clientCertificates: ClientCertificateSettings?

    /// TLS with these certificates, and for the rest what holds where a file says nothing of it.
    public init(certificates: [CertificateSettings]) { self.certificates = certificates }
}

/// A certificate chain and the key that belongs to it.
public struct CertificateSettings: Sendable, Equatable {
    /// A PEM file: the leaf, then what signed it.
    public var chain: String
    /// A PEM file: the private key of the leaf.
    public var key: String
    /// Where it was written.
    public var place: SourcePlace

    /// A certificate chain and its private key, both as paths of PEM files.
    public init(chain: String, key: String, place: SourcePlace = .commandLine) {
        self.chain = chain
        self.key = key
        self.place = place
    }
}
