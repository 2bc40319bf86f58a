// SPDX-License-Identifier: Apache-2.0
import COpenSSL

/// Host name → context, asked by OpenSSL when a client has named its host (SNI, RFC 6066 §3).
///
/// Held by the initial context of a `CertificateStore` through OpenSSL's ex_data, so it lives as
/// long as a handshake that may still ask it.
final class NameTable {
    // Filled before `attach` and read-only afterwards.
    var contexts: [String: TLSContext] = [:]

    private static let slot = ContextSlot()

    /// Makes `context` ask this table, and keeps the table alive with it.
    func attach(to context: TLSContext) {
        let table = Unmanaged.passRetained(self)
        NameTable.slot.set(table.toOpaque(), on: context.pointer)
        sluice_ctx_set_servername_callback(
            context.pointer,
            { ssl, _, argument in
                guard let ssl, let argument,
                    let name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name)
                else { return SSL_TLSEXT_ERR_OK }
                let table = Unmanaged<NameTable>.fromOpaque(argument)
                if let found = table.takeUnretainedValue().context(for: String(cString: name)) {
                    SSL_set_SSL_CTX(ssl, found.pointer)
                }
                // An unknown name is answered with the default chain rather than an alert: the
                // client's own check says what is wrong in words its user knows.
                return SSL_TLSEXT_ERR_OK
            }, table.toOpaque())
    }

    /// The exact name's context, else that of its parent's wildcard (one label, RFC 6125 §6.4.3).
    func context(for name: String) -> TLSContext? {
        var lowercase = name.lowercased()
        if lowercase.hasSuffix(".") { lowercase.removeLast() }
        if let exact = contexts[lowercase] { return exact }
        guard let dot = lowercase.firstIndex(of: ".") else { return nil }
        return contexts["*" + lowercase[dot...]]
    }
}

/// A place in every `SSL_CTX` for one object of ours, released when the context is freed.
struct ContextSlot: Sendable {
    private let index: Int32

    init() {
        index = CRYPTO_get_ex_new_index(
            CRYPTO_EX_INDEX_SSL_CTX, 0, nil, nil, nil,
            { _, object, _, _, _, _ in
                if let object { Unmanaged<AnyObject>.fromOpaque(object).release() }
            })
    }

    /// Hands a retained object over.
    func set(_ object: UnsafeMutableRawPointer, on context: OpaquePointer) {
        SSL_CTX_set_ex_data(context, index, object)
    }

    /// The object of a session's present context.
    func object(of ssl: OpaquePointer) -> UnsafeMutableRawPointer? {
        SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), index)
    }
}

extension TicketKeys {
    private static let slot = ContextSlot()

    private static let clientSlot = ContextSlot()

    /// Lets `context` seal and open its tickets with these keys.
    ///
    /// Where clients show certificates, `clients` judges once more what a ticket says of them.
    func attach(to context: TLSContext, _ clients: ClientAuthorities? = nil) {
        TicketKeys.slot.set(Unmanaged.passRetained(self).toOpaque(), on: context.pointer)
        var judge: UnsafeMutableRawPointer?
        if let clients {
            let held = Unmanaged.passRetained(clients).toOpaque()
            TicketKeys.clientSlot.set(held, on: context.pointer)
            judge = held
        }
        SSL_CTX_set_tlsext_ticket_key_evp_cb(context.pointer) {
            ssl, name, vector, cipherContext, macContext, isSealing in
            guard let ssl, let name, let vector, let cipherContext, let macContext,
                let object = TicketKeys.slot.object(of: ssl)
            else { return -1 }
            let keys = Unmanaged<TicketKeys>.fromOpaque(object).takeUnretainedValue()
            if isSealing != 0 {
                // In TLS 1.2 one was promised already: an empty one says that there is none.
                if let chain = SSL_get0_verified_chain(ssl), !ClientTicket.fits(chain) { return 0 }
                let isReady = keys.seal(
                    name: name, vector: vector, cipherContext: cipherContext,
                    macContext: macContext)
                return isReady ? 1 : -1
            }
            SessionMemory.wipe(.sessions)
            guard
                let opened = keys.open(
                    name: name, vector: vector, cipherContext: cipherContext,
                    macContext: macContext)
            else { return 0 }
            guard opened.isSetUp else { return -1 }
            return opened.isCurrent ? 1 : 2
        }
        // What a ticket is made from, and what one becomes, holds the session's secret and is freed
        // as it is. So all that is freed meanwhile is overwritten: from here to the end of the step
        // in which a ticket is made, and between the two callbacks that open one.
        SSL_CTX_set_session_ticket_cb(
            context.pointer,
            { ssl, judge in
                if judge != nil, let ssl { ClientTicket.keepChain(of: ssl) }
                SessionMemory.wipe(.sessions)
                return 1
            },
            { ssl, session, _, _, status, judge in
                SessionMemory.wipe(.nothing)
                let isOpened = status == SSL_TICKET_SUCCESS || status == SSL_TICKET_SUCCESS_RENEW
                if let judge, isOpened {
                    let clients = Unmanaged<ClientAuthorities>.fromOpaque(judge)
                    if !clients.takeUnretainedValue().admits(session) {
                        // A whole handshake says what is wrong, in an alert.
                        return SSL_TICKET_RETURN_IGNORE_RENEW
                    }
                }
                return TicketKeys.verdict(status, isTLS13: SSL_version(ssl) == TLS1_3_VERSION)
            }, judge)
    }

    /// What becomes of a ticket that a client has shown, and whether it gets another one.
    private static func verdict(
        _ status: SSL_TICKET_STATUS, isTLS13: Bool
    ) -> SSL_TICKET_RETURN {
        switch status {
        // Its next connection needs one that nobody has seen before (RFC 8446 §C.4).
        case SSL_TICKET_SUCCESS where isTLS13: SSL_TICKET_RETURN_USE_RENEW
        case SSL_TICKET_SUCCESS: SSL_TICKET_RETURN_USE
        case SSL_TICKET_SUCCESS_RENEW: SSL_TICKET_RETURN_USE_RENEW
        // None, or one under a key that is no more: a full handshake, and a ticket from it.
        default: SSL_TICKET_RETURN_IGNORE_RENEW
        }
    }
}
