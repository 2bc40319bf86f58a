// SPDX-License-Identifier: Apache-2.0
import Wire

/// The field in which proxies say what went wrong (RFC 9209), in words.
enum ProxyStatus {
    /// A sentence for people, with the field's value as it came.
    static func sentence(_ value: String) -> String {
        let told = "Proxy-Status says: \(value)"
        guard let (proxy, error) = cause(value), let known = ProxyError(rawValue: error) else {
            return told + "."
        }
        return "\(told): \(words(known).replacing("PROXY", with: proxy))."
    }

    /// The reason that the proxy nearest to the app gives; nil for none that is known.
    static func error(_ value: String) -> ProxyError? {
        cause(value).flatMap { ProxyError(rawValue: $0.error) }
    }

    /// The proxy that gives a reason, and the reason's name; the first is nearest to the app.
    private static func cause(_ value: String) -> (proxy: String, error: String)? {
        for member in split(value, at: ",") {
            let parts = split(member, at: ";")
            guard let proxy = parts.first, !proxy.isEmpty else { continue }
            for part in parts.dropFirst() where part.hasPrefix("error=") {
                return (proxy.filter { $0 != "\"" }, String(part.dropFirst(6)))
            }
        }
        return nil
    }

    /// Parts between separators that stand in no quotes, without spaces around them.
    private static func split(_ text: String, at separator: Character) -> [String] {
        var parts = [""]
        var isQuoted = false
        var isEscaped = false
        for character in text {
            if character == separator && !isQuoted {
                parts.append("")
                continue
            }
            if character == "\"" && !isEscaped { isQuoted.toggle() }
            isEscaped = isQuoted && character == "\\" && !isEscaped
            parts[parts.count - 1].append(character)
        }
        return parts.map { part in
            String(part.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
        }
    }

    /// What the registered errors mean (RFC 9209 §2.3).
    private static func words(_ error: ProxyError) -> String {
        switch error {
        case .dnsTimeout: "the look-up of the app's name took PROXY too long"
        case .dnsError: "PROXY finds no address for the app's name"
        case .destinationNotFound: "PROXY knows no app for this request"
        case .destinationUnavailable: "PROXY holds the app for gone, or can't reach it"
        case .destinationIPProhibited: "PROXY may not connect to the app's address"
        case .destinationIPUnroutable: "PROXY has no way to the app's address"
        case .connectionRefused: "nobody listens where PROXY looks for the app"
        case .connectionTerminated: "the app closed the connection before it had answered"
        case .connectionTimeout: "the app's address did not answer PROXY when it connected"
        case .connectionReadTimeout: "the app did not answer PROXY in time"
        case .connectionWriteTimeout: "the app took the request from PROXY too slowly"
        case .connectionLimitReached: "PROXY has as many connections to the app as it may"
        case .tlsProtocolError: "PROXY and the app do not agree on TLS; the app may speak none"
        case .tlsCertificateError: "PROXY does not believe the app's certificate"
        case .tlsAlertReceived: "the app refused the TLS handshake of PROXY"
        case .httpRequestError: "PROXY found the request faulty"
        case .httpRequestDenied: "PROXY may not let this request through"
        case .httpResponseIncomplete: "the app's answer broke off"
        case .httpResponseHeaderSectionSize, .httpResponseHeaderSize:
            "the head of the app's answer was too large for PROXY"
        case .httpResponseBodySize: "the body of the app's answer was too large for PROXY"
        case .httpResponseTransferCoding, .httpResponseContentCoding:
            "the app's answer is coded in a way that PROXY can't read"
        case .httpResponseTimeout: "the app's answer took PROXY too long"
        case .httpUpgradeFailed: "the app did not go along with the upgrade"
        case .httpProtocolError: "what the app answered is no HTTP"
        case .proxyInternalResponse: "PROXY answered by itself"
        case .proxyInternalError: "PROXY itself has an error"
        case .proxyConfigurationError: "PROXY's configuration is wrong"
        case .proxyLoopDetected: "the request came back to PROXY: a loop"
        }
    }
}
