// SPDX-License-Identifier: Apache-2.0
import Router
import Wire

extension Refusal {
    /// The page's origin is not allowed; `host` is the one that it was compared with.
    ///
    /// The sentence says what to set where the page may come in: the key of the configuration or, of quick
    /// mode, the option. The host was not the one of a trusted proxy where that has named something else than
    /// one host, which `hasUnclearProxy` says.
    static func forbiddenOrigin(
        _ origin: [UInt8], host: HostName, hasUnclearProxy: Bool = false, _ route: Route
    ) -> Refusal {
        if origin.isEmpty {
            let cure =
                route.isFromCommandLine
                ? "sluice with --origin any" : "'origins: any' of the route \(route.name)"
            return Refusal(
                status: 403, proxyError: .httpRequestDenied,
                sentence: "The Origin field is empty, so it names no page that could be let in: a"
                    + " client that is no browser leaves the field out, and \(cure) asks nobody.")
        }
        let page = String(decoding: origin.prefix(200), as: UTF8.self)
        var name = host.name.isEmpty ? "none" : host.name
        if hasUnclearProxy { name += ", by Host: the proxy's X-Forwarded-Host is not one host" }
        var sentence = "A page of origin \(page)\(meaning(of: origin)) may not open this socket: "
        var listed = ""
        var isSameAllowed = true
        if case .list(let same, let origins) = route.origins {
            isSameAllowed = same
            listed = origins.prefix(3).map(\.text).joined(separator: ", ")
            if origins.count > 3 { listed += " and \(origins.count - 3) more" }
        }
        if isSameAllowed { sentence += "its host is not the one asked for (\(name))" }
        if !isListable(origin) {
            let cure =
                route.isFromCommandLine
                ? "start sluice with --origin any" : "set 'origins: any' of the route \(route.name)"
            sentence +=
                (isSameAllowed ? ", and" : "")
                + " no list of origins can name it. To let it in, \(cure),"
                + " which lets in every page."
        } else if route.isFromCommandLine {
            sentence += ". To let it in, start sluice with --origin \(argument(origin))."
        } else if case .list = route.origins {
            sentence +=
                (isSameAllowed ? ", and " : "")
                + "'origins' of the route \(route.name) does not list it"
                + " (\(listed.isEmpty ? "none" : listed)). To let it in, add it there."
        } else {
            sentence += ". To let it in, list it in 'origins' of the route \(route.name)."
        }
        return Refusal(status: 403, proxyError: .httpRequestDenied, sentence: sentence)
    }

    /// Which pages have an origin that says nothing of them.
    private static func meaning(of origin: [UInt8]) -> String {
        origin.elementsEqual("null".utf8)
            ? " (a file that was opened in a browser, or a sandboxed frame of any site)" : ""
    }

    /// Whether a list of origins may have the text: `null`, or what has a scheme, and behind it a host, or for
    /// schemes that are not of the Web nothing at all, and then no lone slash.
    private static func isListable(_ origin: [UInt8]) -> Bool {
        if origin.elementsEqual("null".utf8) { return true }
        guard let separator = origin.firstRange(of: Array("://".utf8)), isLetter(origin[0]) else {
            return false
        }
        let scheme = origin[..<separator.lowerBound]
        let rest = origin[separator.upperBound...]
        let authority = rest.prefix { !"/?#".utf8.contains($0) }
        let behind = rest[authority.endIndex...]
        let isWeb = ["http", "https", "ws", "wss"].contains(
            String(decoding: scheme, as: UTF8.self).lowercased())
        return scheme.allSatisfy { isLetter($0) || isDigit($0) || "+-.".utf8.contains($0) }
            && (!authority.isEmpty || !isWeb)
            && authority.allSatisfy { isLetter($0) || isDigit($0) || ".-_:[]*".utf8.contains($0) }
            && (behind.isEmpty
                || behind.first == UInt8(ascii: "/") && behind.count > 1
                    && behind.allSatisfy { 0x21...0x7E ~= $0 && !"?#,".utf8.contains($0) })
    }

    private static func isLetter(_ byte: UInt8) -> Bool { (0x41...0x5A).contains(byte & 0xDF) }

    private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }

    /// An origin as it can be copied to a command line; what is no plain one is not repeated, since the
    /// sentence stands in terminals and any program may send it.
    private static func argument(_ origin: [UInt8]) -> String {
        let isPlain =
            origin.count <= 200
            && origin.allSatisfy { byte in
                switch byte {
                case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
                default: ":/.-_".utf8.contains(byte)
                }
            }
        return isPlain && !origin.isEmpty ? String(decoding: origin, as: UTF8.self) : "ORIGIN"
    }
}
