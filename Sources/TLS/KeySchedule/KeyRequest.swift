// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import Glibc

/// What libssl asks its function `TLS13-KDF` for, read from the parameters of one call (EVP_KDF-TLS13_KDF(7)).
struct KeyRequest {
    private var hash: ScheduleHash?
    private var mode: Int32?
    private var secret: UnsafeBufferPointer<UInt8>?
    private var salt: UnsafeBufferPointer<UInt8>?
    private var prefix = UnsafeBufferPointer<UInt8>(start: nil, count: 0)
    private var label = UnsafeBufferPointer<UInt8>(start: nil, count: 0)
    private var context = UnsafeBufferPointer<UInt8>(start: nil, count: 0)

    /// Reads the parameters.
    ///
    /// - Returns: nil where they hold anything but what TLS 1.3 asks for: that is OpenSSL's to do.
    init?(_ parameters: UnsafePointer<OSSL_PARAM>) {
        var parameter = parameters
        while let name = parameter.pointee.key {
            guard take(parameter.pointee, named: name) else { return nil }
            parameter += 1
        }
    }

    private mutating func take(_ parameter: OSSL_PARAM, named name: UnsafePointer<CChar>) -> Bool {
        switch UInt8(bitPattern: name[0]) {
        case UInt8(ascii: "m") where name.equals("mode"):
            guard parameter.data_type == OSSL_PARAM_INTEGER,
                parameter.data_size == MemoryLayout<Int32>.size, let data = parameter.data
            else { return false }
            mode = data.loadUnaligned(as: Int32.self)
        case UInt8(ascii: "d") where name.equals("digest"):
            guard parameter.data_type == OSSL_PARAM_UTF8_STRING, let data = parameter.data,
                let hash = ScheduleHash(named: data.assumingMemoryBound(to: CChar.self))
            else { return false }
            self.hash = hash
        case UInt8(ascii: "k") where name.equals("key"):
            guard let bytes = parameter.bytes(atMost: ScheduleHash.messageMax) else { return false }
            secret = bytes
        case UInt8(ascii: "s") where name.equals("salt"):
            guard let bytes = parameter.bytes(atMost: ScheduleHash.keyMax) else { return false }
            salt = bytes
        case UInt8(ascii: "p") where name.equals("prefix"):
            guard let bytes = parameter.bytes(atMost: 64) else { return false }
            prefix = bytes
        case UInt8(ascii: "l") where name.equals("label"):
            guard let bytes = parameter.bytes(atMost: 255 - 64) else { return false }
            label = bytes
        case UInt8(ascii: "d") where name.equals("data"):
            guard let bytes = parameter.bytes(atMost: 255) else { return false }
            context = bytes
        default: return false
        }
        return true
    }

    /// Makes what is asked for.
    ///
    /// - Returns: false where the request is none of TLS 1.3: that is OpenSSL's to do.
    func derive(into out: UnsafeMutableBufferPointer<UInt8>) -> Bool {
        guard let hash, let mode, let start = out.baseAddress else { return false }
        switch mode {
        case EVP_KDF_HKDF_MODE_EXPAND_ONLY:
            guard let secret, secret.count <= ScheduleHash.keyMax, out.count <= hash.count
            else { return false }
            hash.expandLabel(secret, prefix: prefix, label: label, context: context, into: out)
        case EVP_KDF_HKDF_MODE_EXTRACT_ONLY:
            guard out.count == hash.count, !label.isEmpty else { return false }
            hash.nextSecret(after: salt, input: secret, prefix: prefix, label: label, into: start)
        default: return false
        }
        return true
    }
}

extension ScheduleHash {
    /// The hash of a name as libssl writes it; nil for any other.
    fileprivate init?(named name: UnsafePointer<CChar>) {
        if name.equals("SHA256") || name.equals("SHA2-256") {
            self = .sha256
        } else if name.equals("SHA384") || name.equals("SHA2-384") {
            self = .sha384
        } else {
            return nil
        }
    }
}

extension OSSL_PARAM {
    /// The bytes of a parameter; nil where it has none, or too many.
    fileprivate func bytes(atMost most: Int) -> UnsafeBufferPointer<UInt8>? {
        guard data_type == OSSL_PARAM_OCTET_STRING, data_size <= most, let data else { return nil }
        return UnsafeBufferPointer(
            start: data.assumingMemoryBound(to: UInt8.self), count: data_size)
    }
}

extension UnsafePointer<CChar> {
    /// Whether the text at this place is another one.
    @inline(__always)
    fileprivate func equals(_ text: StaticString) -> Bool {
        text.utf8Start.withMemoryRebound(to: CChar.self, capacity: text.utf8CodeUnitCount + 1) {
            strcmp(self, $0) == 0
        }
    }
}
