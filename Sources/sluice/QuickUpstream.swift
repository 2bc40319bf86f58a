// SPDX-License-Identifier: Apache-2.0
import Config

/// The app that quick mode stands in front of, as people write it.
struct QuickUpstream: Equatable {
    let endpoint: EndpointAddress
    /// The path of a URL, which the wss URL will have too.
    let path: String?

    /// Reads a port, `host:port`, `ws://host:port[/path]` or `unix:/path`.
    init(parsing text: String) throws {
        // By name rather than 127.0.0.1: many development servers listen on ::1 only.
        if let port = UInt16(text), port > 0 {
            endpoint = .tcp(host: "localhost", port: port)
            path = nil
            return
        }
        let namesNoApp = Complaint(
            "\(text) names no app: give a port (3000), host:port, or ws://host:port/path")
        // A number that is no port is a slip, not the name of a host.
        if text.allSatisfy({ ("0"..."9").contains($0) }) { throw namesNoApp }
        var url = text
        if !text.contains("://") && !text.hasPrefix("unix:") { url = "ws://" + text }
        for (scheme, plain) in [("http://", "ws://"), ("HTTP://", "ws://")]
        where url.hasPrefix(scheme) {
            url = plain + url.dropFirst(scheme.count)
        }
        if url.hasPrefix("wss://") || url.hasPrefix("https://") {
            throw Complaint(
                "\(text): that app speaks TLS itself already; Sluice relays to plain ws://."
                    + " Give the port on which the app speaks without TLS.")
        }
        var urlPath: String?
        if url.hasPrefix("ws://"), let slash = url.dropFirst(5).firstIndex(of: "/") {
            urlPath = String(url[slash...].prefix { $0 != "?" && $0 != "#" })
            url = String(url[..<slash])
        }
        do {
            endpoint = try EndpointAddress(parsing: url)
        } catch {
            throw namesNoApp
        }
        path = urlPath == "/" ? nil : urlPath
    }
}
