// SPDX-License-Identifier: Apache-2.0
import Doctor

/// What `sluice doctor` is to look at, as people write it.
struct DoctorTarget {
    /// The URL, where the port itself does not have to tell its scheme.
    let url: SocketURL
    /// How it would be with TLS; nil where the scheme is known.
    private let secure: SocketURL?
    /// As it was written.
    private let text: String

    /// Reads a `ws:` or `wss:` URL, the `http:` or `https:` URL of a page, `host`, `host:port` or a port of
    /// this machine, each but the last with a path.
    ///
    /// - Returns: nil where it is none of these.
    init?(_ text: String) {
        self.text = text
        if text.contains("://") {
            guard let url = SocketURL(text) else { return nil }
            self.url = url
            secure = nil
            return
        }
        let isPort = UInt16(text).map { $0 > 0 } ?? false
        let place = isPort ? "localhost:\(text)" : text
        // What is all digits and no port is a slip.
        guard isPort || !text.allSatisfy({ ("0"..."9").contains($0) }),
            let plain = SocketURL("ws://\(place)"), let secure = SocketURL("wss://\(place)")
        else { return nil }
        // Without a port it is meant as in the address line of a browser.
        let whole = place.prefix { !"/?#".contains($0) }
        let authority = whole.lastIndex(of: "@").map { whole[whole.index(after: $0)...] } ?? whole
        let hasPort = plain.authority != authority || authority.hasSuffix(":80")
        guard hasPort || isPort || Self.namesPort(authority) else {
            url = secure
            self.secure = nil
            return
        }
        url = plain
        self.secure = secure
    }

    /// What is wrong with the URL of a WebSocket, where that can be told; nil for others.
    static func fault(in text: String) -> String? {
        let scheme = text.lowercased()
        // Of the address of a page the fragment stays with the browser.
        if !scheme.hasPrefix("http"), let hash = text.firstIndex(of: "#") {
            return
                "\(text): a WebSocket URL has no fragment, and browsers refuse one (SyntaxError); leave"
                + " \(text[hash...]) out, or write # as %23."
        }
        let rest = text.firstRange(of: "://").map { text[$0.upperBound...] } ?? text[...]
        let authority = rest.prefix { !"/?#".contains($0) }
        guard let colon = authority.lastIndex(of: ":"), !authority.hasSuffix("]") else {
            return nil
        }
        let port = authority[authority.index(after: colon)...]
        guard !port.isEmpty, port.allSatisfy({ ("0"..."9").contains($0) }),
            UInt16(port).map({ $0 > 0 }) != true
        else { return nil }
        return "\(text): its port is \(port), and a port is a number from 1 to 65535; correct it."
    }

    private static func namesPort(_ authority: Substring) -> Bool {
        guard let colon = authority.lastIndex(of: ":") else { return false }
        return UInt16(authority[authority.index(after: colon)...]) != nil
            && !authority.hasSuffix("]")
    }

    /// The URL to walk, and how what was written is read where it is no `ws:` or `wss:` URL.
    ///
    /// Where a port was named without a scheme, the port is asked whether it speaks TLS.
    func resolved(_ options: Doctor.Options) -> (url: SocketURL, remark: String?) {
        guard let secure else {
            let form = url.text(secure: url.isSecure)
            let isURL = text.lowercased().hasPrefix("ws")
            return (url, isURL ? nil : "\(text) is read as \(form).")
        }
        var quick = options
        // What is slow now is going to be slow for the walk as well: half of the time is for each.
        quick.timeoutSeconds = options.timeoutSeconds / 2
        let answer = Doctor.speaksTLS(at: url, quick)
        let usual = secure.port == 443 || secure.port == 8443
        let isSecure = answer ?? (usual || !url.isLocal)
        let chosen = isSecure ? secure : url
        let why =
            switch answer {
            case true: "since that port speaks TLS"
            case false: "since that port does not answer a TLS handshake"
            default: "since nothing answers there"
            }
        return (chosen, "\(text) is read as \(chosen.text(secure: isSecure)), \(why).")
    }
}
