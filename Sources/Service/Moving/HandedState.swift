// SPDX-License-Identifier: Apache-2.0
import Access
import Foundation
import Frontend
import Glibc
import Ledger
import Reactor
import Router
import Serialization
import TLS

/// What a process knows that its successor has to know from the first connection on: the keys of session tickets, so
/// that clients take up their sessions again; which endpoints fail, and how they are; who has come too often; and by which
/// keys issuers sign tokens.
///
/// It goes through memory behind a descriptor, and both processes overwrite what they have of it.
struct HandedState: ~Copyable {
    static let variable = "SLUICE_STATE"
    private static let bytesMax = 64 << 20

    private enum Number {
        static let tickets: UInt16 = 1
        static let endpoint: UInt16 = 2
        static let admissions: UInt16 = 3
        static let endpoints: UInt16 = 4
        static let issuers: UInt16 = 5
    }

    private enum EndpointNumber {
        static let upstream: UInt16 = 1
        static let label: UInt16 = 2
        static let failedUntil: UInt16 = 3
        static let failures: UInt16 = 4
        static let failedAnswers: UInt16 = 5
        static let joined: UInt16 = 6
        static let health: UInt16 = 7
        static let reason: UInt16 = 8
        static let reasonMilliseconds: UInt16 = 9
    }

    private enum IssuerNumber {
        static let url: UInt16 = 1
        static let authorities: UInt16 = 2
        static let content: UInt16 = 3
        static let document: UInt16 = 4
        static let taken: UInt16 = 5
    }

    /// Keys of an issuer that the process before has fetched.
    struct IssuerKeys: Sendable {
        let origin: TokenKeyring.Origin
        let keys: TokenKeys
        let takenMilliseconds: UInt64

        /// Has a ring of this origin begin with them.
        func apply(to keyrings: [TokenKeyring]) {
            for keyring in keyrings where keyring.origin == origin {
                keyring.inherit(keys, takenMilliseconds: takenMilliseconds)
            }
        }
    }

    /// So many bytes of issuers are handed on; of more the new process asks the issuers.
    private static let issuerBytesMax = 16 << 20

    private let bytes: FieldWriter

    /// Writes it to memory that the next process inherits by a copy of the descriptor; nil where there is none.
    static func file(_ frontend: Frontend, _ assembly: Assembly) -> SharedFile? {
        guard var file = try? SharedFile(name: "sluice state") else { return nil }
        var writer = FieldWriter()
        writer.part(Number.tickets) { assembly.tickets.write(to: &$0) }
        writer.part(Number.endpoints) { endpoints in
            var number: UInt16 = 0
            for upstream in assembly.routing.upstreams {
                for endpoint in upstream.endpoints where number < 0x7FFF {
                    number += 1
                    endpoints.part(number) { Self.write(endpoint, of: upstream, to: &$0) }
                }
            }
        }
        writer.part(Number.admissions) { frontend.writeAdmissions(to: &$0) }
        writer.part(Number.issuers, isRequired: false) { issuers in
            var number: UInt16 = 0
            for keyring in assembly.tokens.keyrings
            where issuers.count < Self.issuerBytesMax && number < 0x7FFF {
                guard let keys = keyring.keys,
                    case .url(let url, let authorities) = keyring.origin
                else { continue }
                number += 1
                issuers.part(number) { issuer in
                    issuer.put(IssuerNumber.url, url)
                    if let authorities {
                        issuer.put(IssuerNumber.authorities, authorities.path)
                        authorities.content.withUnsafeBytes {
                            issuer.put(IssuerNumber.content, bytes: $0)
                        }
                    }
                    keys.bytes.withUnsafeBytes { issuer.put(IssuerNumber.document, bytes: $0) }
                    issuer.put(IssuerNumber.taken, keyring.report.takenMilliseconds)
                }
            }
        }
        guard writer.withBytes({ file.append($0) }) else { return nil }
        return file
    }

    private static func write(
        _ endpoint: Endpoint, of upstream: EndpointGroup, to writer: inout FieldWriter
    ) {
        let standing = endpoint.load.standing
        writer.put(EndpointNumber.upstream, upstream.picker.name)
        writer.put(EndpointNumber.label, endpoint.label)
        writer.put(EndpointNumber.failedUntil, standing.failedUntilMilliseconds)
        writer.put(EndpointNumber.failures, standing.failures)
        writer.put(EndpointNumber.failedAnswers, standing.failedAnswers)
        writer.put(EndpointNumber.joined, standing.joinedMilliseconds)
        writer.put(EndpointNumber.health, endpoint.load.health.rawValue)
        if let failure = endpoint.load.lastFailure {
            writer.put(EndpointNumber.reason, failure.reason, isRequired: false)
            writer.put(EndpointNumber.reasonMilliseconds, failure.milliseconds, isRequired: false)
        }
    }

    /// What the process before this one has written; nil where there was none.
    ///
    /// To be asked once: the variable is taken away.
    static func inherited() -> HandedState? {
        defer { unsetenv(variable) }
        guard let text = getenv(variable).map({ String(cString: $0) }),
            let descriptor = Int32(text), descriptor > 2
        else { return nil }
        var copy = FieldWriter()
        let isRead = SharedFile.read(descriptor, bytesMax: bytesMax) { copy.append($0) } != nil
        return isRead ? HandedState(bytes: copy) : nil
    }

    private init(bytes: consuming FieldWriter) { self.bytes = bytes }

    /// Has the keys of session tickets and the standing of endpoints be those of the process before.
    ///
    /// What is written in another way than this build does is left out: nothing of it is needed to serve.
    borrowing func apply(to assembly: Assembly) {
        bytes.withBytes { bytes in
            guard var reader = try? FieldReader(bytes) else { return }
            if var tickets = try? reader.part(Number.tickets) {
                try? assembly.tickets.take(&tickets)
            }
            guard var endpoints = try? reader.part(Number.endpoints),
                let parts = try? endpoints.parts()
            else { return }
            let groups = Dictionary(assembly.routing.upstreams.map { ($0.picker.name, $0) }) {
                first, _ in first
            }
            for var part in parts { try? Self.take(&part, groups) }
        }
    }

    private static func take(
        _ reader: inout FieldReader, _ groups: [String: EndpointGroup]
    ) throws(FieldFault) {
        let upstream = try reader.text(EndpointNumber.upstream)
        let label = try reader.text(EndpointNumber.label)
        guard let endpoint = groups[upstream]?.endpoints.first(where: { $0.label == label }) else {
            return
        }
        endpoint.load.standing = EndpointLoad.Standing(
            failedUntilMilliseconds: try reader.integer(EndpointNumber.failedUntil),
            failures: try reader.integer(EndpointNumber.failures),
            failedAnswers: try reader.integer(EndpointNumber.failedAnswers),
            joinedMilliseconds: try reader.integer(EndpointNumber.joined))
        // Only of those that are checked here too, and until the first check of this process.
        let health: UInt8 = try reader.integer(EndpointNumber.health)
        if endpoint.load.health == .pending, let known = EndpointHealth(rawValue: health),
            known == .healthy || known == .unhealthy
        {
            endpoint.load.health = known
        }
        if reader.has(EndpointNumber.reason) {
            endpoint.load.lastFailure = EndpointFailure(
                reason: try reader.text(EndpointNumber.reason),
                milliseconds: try reader.integer(EndpointNumber.reasonMilliseconds))
        }
    }

    /// The keys of issuers; those that are written in another way than this build does are left out.
    borrowing func issuerKeys() -> [IssuerKeys] {
        bytes.withBytes { bytes in
            guard var reader = try? FieldReader(bytes),
                var issuers = try? reader.part(Number.issuers),
                let parts = try? issuers.parts()
            else { return [] }
            var found: [IssuerKeys] = []
            for var part in parts {
                if let keys = try? Self.issuerKeys(&part) { found.append(keys) }
            }
            return found
        }
    }

    private static func issuerKeys(_ reader: inout FieldReader) throws -> IssuerKeys {
        let url = try reader.text(IssuerNumber.url)
        var authorities: TokenKeyring.Authorities?
        if reader.has(IssuerNumber.authorities) {
            authorities = TokenKeyring.Authorities(
                path: try reader.text(IssuerNumber.authorities),
                content: [UInt8](try reader.bytes(IssuerNumber.content)))
        }
        return IssuerKeys(
            origin: .url(url, authorities: authorities),
            keys: try TokenKeys([UInt8](try reader.bytes(IssuerNumber.document)), from: .issuer),
            takenMilliseconds: try reader.integer(IssuerNumber.taken))
    }

    /// Has clients that came too often before be as far as they were.
    borrowing func apply(to frontend: Frontend) {
        bytes.withBytes { bytes in
            guard var reader = try? FieldReader(bytes),
                var admissions = try? reader.part(Number.admissions)
            else { return }
            frontend.takeAdmissions(&admissions)
        }
    }
}
