// SPDX-License-Identifier: Apache-2.0

public import TLS

/// Whether a client peer speaks TLS, and as whom it wants to see the proxy.
public enum ClientSecurity: Sendable {
    /// Plain TCP.
    case plain
    /// TLS, verified for `name` against the test CA or the file `authority`, at most `version`.
    case tls(name: String = "localhost", version: TLSVersion = .tls13, authority: String? = nil)
    /// The same against the test CA, taking up an earlier session.
    case resuming(ResumptionTicket, name: String = "localhost", version: TLSVersion = .tls13)

    func makeRecords() throws -> (any RecordLayer)? {
        switch self {
        case .plain: nil
        case .tls(let name, let version, let authority):
            try TLSRecords(
                name: name, version: version,
                authority: authority ?? TestCertificates.shared().authority, ticket: nil)
        case .resuming(let ticket, let name, let version):
            try TLSRecords(
                name: name, version: version, authority: TestCertificates.shared().authority,
                ticket: ticket)
        }
    }
}

extension WebSocketPeer {
    /// What the TLS handshake agreed on; nil on plain TCP.
    public var facts: TLSFacts? { (stream.records as? TLSRecords)?.facts }

    /// The server's session ticket; nil before one was read.
    public var ticket: ResumptionTicket? { (stream.records as? TLSRecords)?.ticket }
}
