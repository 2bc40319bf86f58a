// SPDX-License-Identifier: Apache-2.0
import Wire

/// Who may ask an admin server, and who may change something there.
///
/// Web pages can have a browser send requests to loopback addresses, also under a name of their own that stands for
/// one (DNS rebinding). They can't leave out what the browser says of them (`Origin`, `Sec-Fetch-Site`), and can't name
/// this machine as the host.
struct AdminGate: Sendable {
    /// Whether requests have to name this machine as their host, so that no page can have a browser ask.
    let isForThisMachine: Bool
    /// Whether it has a page of its own, whose requests are served.
    let hasPage: Bool
    /// What requests that change something have to bring along; nil for nothing.
    let token: AdminToken?

    /// Refuses a request that somebody has no right to.
    func check(_ head: RequestHead) throws(AdminRefusal) {
        try checkHost(head)
        let isOfPage = try checkPage(head)
        if isQuestion(head) { return }
        if let token {
            try check(token, head)
        } else if isOfPage {
            throw AdminRefusal(
                403,
                "Pages may only look here, since there is no admin.token: set it to the file of a token."
            )
        }
    }

    private func isQuestion(_ head: RequestHead) -> Bool {
        head.method == "GET" || head.method == "HEAD"
    }

    private func checkHost(_ head: RequestHead) throws(AdminRefusal) {
        guard isForThisMachine else { return }
        let host = head.fields.first("host").flatMap { try? HostName(parsing: $0) }
        let isOwn = host.map { ["localhost", "127.0.0.1", "::1"].contains($0.name) } ?? false
        guard isOwn, head.fields.all("host").count == 1 else {
            throw AdminRefusal(403, "The Host field has to be localhost, 127.0.0.1 or [::1].")
        }
    }

    /// Refuses other pages than the own one.
    ///
    /// - Returns: whether the request is of a browser.
    private func checkPage(_ head: RequestHead) throws(AdminRefusal) -> Bool {
        let origins = head.fields.all("origin").map(Self.lowercased)
        let sites = head.fields.all("sec-fetch-site").map(Self.lowercased)
        if origins.isEmpty && sites.isEmpty { return false }
        // By the address bar.
        if origins.isEmpty, sites == ["none"], isQuestion(head) { return true }
        guard hasPage, origins.count <= 1, sites.count <= 1 else { throw otherPage }
        // The host was found to be this machine, and the browser has it from the page's own URL.
        let host = Self.lowercased(head.fields.first("host") ?? [])
        if let origin = origins.first, origin != "http://" + host { throw otherPage }
        switch sites.first {
        case nil, "same-origin": return true
        case _ where isVisit(head): return true
        default: throw otherPage
        }
    }

    /// Whether somebody follows a link to the page, which shows nothing to where the link was.
    private func isVisit(_ head: RequestHead) -> Bool {
        head.method == "GET" && head.target.elementsEqual([UInt8(ascii: "/")])
            && head.fields.first("sec-fetch-mode").map(Self.lowercased) == "navigate"
            && head.fields.first("sec-fetch-dest").map(Self.lowercased) == "document"
    }

    private var otherPage: AdminRefusal {
        AdminRefusal(
            403,
            hasPage
                ? "Requests of other pages than the dashboard are not served here."
                : "Requests of web pages are not served here.")
    }

    private static func lowercased(_ bytes: some Sequence<UInt8>) -> String {
        String(decoding: Array(bytes), as: UTF8.self).lowercased()
    }

    private func check(_ token: AdminToken, _ head: RequestHead) throws(AdminRefusal) {
        let fields = head.fields.all("authorization")
        let isRight: Bool
        do throws(AdminToken.Fault) {
            isRight = try token.isIn(fields.count == 1 ? fields.first : nil)
        } catch {
            throw AdminRefusal(
                503,
                "Nothing can be changed here, since admin.token can't be used: \(error.sentence).")
        }
        if isRight { return }
        throw AdminRefusal(
            401,
            fields.isEmpty
                ? "Changes at this address need the token in the file of admin.token: commands take that file"
                    + " as --admin-token, other programs send Authorization: Bearer TOKEN. At the unix socket no"
                    + " token is needed."
                : "The token is not that of admin.token.")
    }
}
