// SPDX-License-Identifier: Apache-2.0

/// The field in which proxies say what went wrong (RFC 9209), in words.
enum ProxyStatus {
    /// A sentence for people, with the field's value as it came.
    static func sentence(_ value: String) -> String {
        let told = "Proxy-Status says: \(value)"
        guard let (proxy, error) = cause(value), let words = words(error) else { return told + "." }
        return "\(told): \(words.replacing("PROXY", with: proxy))."
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

    /// What the registered errors mean (RFC 9209 §2.3); nil for others.
    private static func words(_ error: String) -> String? {
        switch error {
        case "dns_timeout": "the look-up of the app's name took PROXY too long"
        case "dns_error": "PROXY finds no address for the app's name"
        case "destination_not_found": "PROXY knows no app for this request"
        case "destination_unavailable": "PROXY holds the app for gone, or can't reach it"
        case "destination_ip_prohibited": "PROXY may not connect to the app's address"
        case "destination_ip_unroutable": "PROXY has no way to the app's address"
        case "connection_refused": "nobody listens where PROXY looks for the app"
        case "connection_terminated": "the app closed the connection before it had answered"
        case "connection_timeout": "the app's address did not answer PROXY when it connected"
        case "connection_read_timeout": "the app did not answer PROXY in time"
        case "connection_write_timeout": "the app took the request from PROXY too slowly"
        case "connection_limit_reached": "PROXY has as many connections to the app as it may"
        case "tls_protocol_error": "PROXY and the app do not agree on TLS; the app may speak none"
        case "tls_certificate_error": "PROXY does not believe the app's certificate"
        case "tls_alert_received": "the app refused the TLS handshake of PROXY"
        case "http_request_error": "PROXY found the request faulty"
        case "http_request_denied": "PROXY may not let this request through"
        case "http_response_incomplete": "the app's answer broke off"
        case "http_response_header_section_size", "http_response_header_size":
            "the head of the app's answer was too large for PROXY"
        case "http_response_body_size": "the body of the app's answer was too large for PROXY"
        case "http_response_transfer_coding", "http_response_content_coding":
            "the app's answer is coded in a way that PROXY can't read"
        case "http_response_timeout": "the app's answer took PROXY too long"
        case "http_upgrade_failed": "the app did not go along with the upgrade"
        case "http_protocol_error": "what the app answered is no HTTP"
        case "proxy_internal_response": "PROXY answered by itself"
        case "proxy_internal_error": "PROXY itself has an error"
        case "proxy_configuration_error": "PROXY's configuration is wrong"
        case "proxy_loop_detected": "the request came back to PROXY: a loop"
        default: nil
        }
    }
}
