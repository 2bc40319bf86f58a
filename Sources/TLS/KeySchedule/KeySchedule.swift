// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import Glibc
import Synchronization

/// Who makes the secrets and keys of TLS 1.3 from the key exchange (RFC 8446 §7.1).
///
/// libssl asks libcrypto for each of some twenty values of a handshake by the names of a function and of a hash.
/// libcrypto looks those up, allocates, and goes through four layers each time, which costs as much as all the
/// arithmetic of a resumed handshake. So there is a provider of this process (provider(7)) that offers that one
/// function, `TLS13-KDF`. The hashes are libcrypto's.
///
/// It is used only by the contexts of TLS, where it has made what OpenSSL makes, in a comparison at the start, and
/// where OpenSSL's own configuration does not want other providers.
public enum KeySchedule {
    /// Why keys can only be derived by OpenSSL, as a sentence without its end; nil where they need not be.
    public static var fault: String? { outcome }

    /// Has OpenSSL derive all keys from now on, or no longer.
    public static func leaveToOpenSSL(_ isWanted: Bool) {
        isSwitchedOff.store(isWanted, ordering: .relaxed)
    }

    /// What contexts ask OpenSSL for their functions by (property(7)): those of this provider first, where it has
    /// some; nil where it is not used.
    static var properties: String? { outcome == nil ? wish : nil }

    private static let isSwitchedOff = Atomic(false)

    private static let outcome: String? = load(isFIPSWanted: FIPSWish.isThere)

    /// Adds the provider to OpenSSL.
    ///
    /// - Parameter isFIPSWanted: whether OpenSSL's configuration asks for FIPS.
    /// - Returns: why it is not to be used, as a sentence without its end; nil where it is.
    static func load(isFIPSWanted: Bool) -> String? {
        if isFIPSWanted { return FIPSWish.sentence }
        if let fault = KeyScheduleCheck.fault(of: make) { return fault }
        let others = "OpenSSL's configuration wants other providers"
        guard OSSL_PROVIDER_available(nil, "default") == 1 else { return others }
        // Once one is loaded by its name, default is no longer there just because nothing else is.
        guard OSSL_PROVIDER_load(nil, "default") != nil,
            OSSL_PROVIDER_add_builtin(nil, providerName, initializeKeySchedule) == 1,
            OSSL_PROVIDER_load(nil, providerName) != nil
        else {
            ERR_clear_error()
            return "OpenSSL takes no provider"
        }
        guard let found = EVP_KDF_fetch(nil, functionName, wish) else {
            ERR_clear_error()
            return others
        }
        defer { EVP_KDF_free(found) }
        guard let name = OSSL_PROVIDER_get0_name(EVP_KDF_get0_provider(found)),
            String(cString: name) == providerName
        else { return others }
        return nil
    }

    fileprivate static let providerName = "sluice"
    fileprivate static let functionName = "TLS13-KDF"
    /// What the function says of itself: a property of its own, whose name needs a point, so that what OpenSSL's
    /// configuration says of `provider` goes on to hold.
    fileprivate static let definition = "provider=sluice,x.sluice=yes"
    private static let wish = "?x.sluice=yes"

    /// Makes what one call asks for; what TLS 1.3 does not ask for is OpenSSL's to make.
    static func derive(
        into out: UnsafeMutableBufferPointer<UInt8>, by parameters: UnsafePointer<OSSL_PARAM>
    ) -> Bool {
        if !isSwitchedOff.load(ordering: .relaxed), make(into: out, by: parameters) { return true }
        return makeByOpenSSL(into: out, by: parameters)
    }

    /// Makes it here; false where the request is none of TLS 1.3.
    static func make(
        into out: UnsafeMutableBufferPointer<UInt8>, by parameters: UnsafePointer<OSSL_PARAM>
    ) -> Bool {
        guard let request = KeyRequest(parameters), request.derive(into: out) else { return false }
        sluice_derivation_count().pointee &+= 1
        return true
    }

    /// How many values the calling thread has derived here and not by OpenSSL.
    static var derivedCount: Int { sluice_derivation_count().pointee }

    // Fetched once and never freed; OpenSSL's functions are shared by threads.
    nonisolated(unsafe) private static let openSSL = EVP_KDF_fetch(
        nil, functionName, "provider=default")

    private static func makeByOpenSSL(
        into out: UnsafeMutableBufferPointer<UInt8>, by parameters: UnsafePointer<OSSL_PARAM>
    ) -> Bool {
        guard let context = EVP_KDF_CTX_new(openSSL) else { return false }
        defer { EVP_KDF_CTX_free(context) }
        return EVP_KDF_derive(context, out.baseAddress, out.count, parameters) == 1
    }
}

/// What OpenSSL is told about the provider: tables that end with an empty row, and stay for good.
private enum ProviderTables {
    // Written before the provider is added, and only read from then on.
    nonisolated(unsafe) static let provider = table(
        [(OSSL_FUNC_PROVIDER_QUERY_OPERATION, unsafeBitCast(query, to: Function.self))])

    nonisolated(unsafe) static let algorithms: UnsafeMutablePointer<OSSL_ALGORITHM> = {
        let rows = UnsafeMutablePointer<OSSL_ALGORITHM>.allocate(capacity: 2)
        rows.initialize(repeating: OSSL_ALGORITHM(), count: 2)
        rows[0].algorithm_names = UnsafePointer(strdup(KeySchedule.functionName))
        rows[0].property_definition = UnsafePointer(strdup(KeySchedule.definition))
        rows[0].implementation = UnsafePointer(functions)
        return rows
    }()

    nonisolated(unsafe) private static let functions = table([
        (OSSL_FUNC_KDF_NEWCTX, unsafeBitCast(makeContext, to: Function.self)),
        (OSSL_FUNC_KDF_FREECTX, unsafeBitCast(forgetContext, to: Function.self)),
        (OSSL_FUNC_KDF_RESET, unsafeBitCast(forgetContext, to: Function.self)),
        (OSSL_FUNC_KDF_DERIVE, unsafeBitCast(derive, to: Function.self)),
    ])

    private typealias Function = @convention(c) () -> Void

    private static func table(_ rows: [(Int32, Function)]) -> UnsafeMutablePointer<OSSL_DISPATCH> {
        let table = UnsafeMutablePointer<OSSL_DISPATCH>.allocate(capacity: rows.count + 1)
        table.initialize(repeating: OSSL_DISPATCH(), count: rows.count + 1)
        for (place, row) in rows.enumerated() {
            table[place] = OSSL_DISPATCH(function_id: row.0, function: row.1)
        }
        return table
    }

    /// Which functions there are of a kind (OSSL_FUNC_provider_query_operation in provider-base(7)).
    private static let query:
        @convention(c) (
            UnsafeMutableRawPointer?, Int32, UnsafeMutablePointer<Int32>?
        ) -> UnsafePointer<OSSL_ALGORITHM>? = { _, operation, mayNotBeKept in
            mayNotBeKept?.pointee = 0
            return operation == OSSL_OP_KDF ? UnsafePointer(algorithms) : nil
        }

    /// Each call brings all that it needs, so a context holds nothing: it is what OpenSSL gave the provider.
    private static let makeContext:
        @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? = { $0 }

    private static let forgetContext: @convention(c) (UnsafeMutableRawPointer?) -> Void = { _ in }

    private static let derive:
        @convention(c) (
            UnsafeMutableRawPointer?, UnsafeMutablePointer<UInt8>?, Int,
            UnsafePointer<OSSL_PARAM>?
        ) -> Int32 = { _, out, count, parameters in
            guard let out, let parameters else { return 0 }
            return KeySchedule.derive(
                into: UnsafeMutableBufferPointer(start: out, count: count), by: parameters) ? 1 : 0
        }
}

/// Gives OpenSSL the provider's functions (OSSL_provider_init in provider(7)).
@c
private func initializeKeySchedule(
    _ handle: OpaquePointer?, _ core: UnsafePointer<OSSL_DISPATCH>?,
    _ functions: UnsafeMutablePointer<UnsafePointer<OSSL_DISPATCH>?>?,
    _ context: UnsafeMutablePointer<UnsafeMutableRawPointer?>?
) -> Int32 {
    functions?.pointee = UnsafePointer(ProviderTables.provider)
    context?.pointee = handle.map { UnsafeMutableRawPointer($0) }
    return 1
}
