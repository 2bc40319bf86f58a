// SPDX-License-Identifier: Apache-2.0

extension ForwardSettings {
    static let section = Section(
        "routes[].access.forward",
        ForwardSettings(to: .endpoint(.unix(path: ""))),
        [
            .required(
                "to", .text("endpoint or name"),
                "who is asked: one endpoint, or the name of an upstream"
            ) { owner, value in
                guard let target = RouteSettings.Target(value, isAsked: true) else { return false }
                owner.to = target
                return true
            },
            .custom(
                "path", .text("path"), absent: "`/`",
                "the path that it is asked for by GET, with a query or without"
            ) { owner, value in
                let what = "a path, as /verify"
                guard let text = value.text(what) else { return false }
                guard text.hasPrefix("/"),
                    text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != 0x23 })
                else {
                    value.report("found '\(text)', allowed: \(what)")
                    return false
                }
                owner.path = text
                return true
            },
            .duration(
                "timeout", \.timeout, .milliseconds(10) ... .seconds(600),
                "how long it may take to answer; then the request gets 504"),
            .custom(
                "fields", .list(.text("text")), absent: "none",
                "fields of its answer that go on to the app; the client's own of these names are dropped. The first says "
                    + "who the user is, for the log, `{subject}` and `POST /relays/close`"
            ) { owner, value in
                guard let items = value.nonEmptyList(of: "names of fields, as Remote-User") else {
                    return false
                }
                for item in items {
                    guard let name = item.text("the name of a field, as Remote-User"),
                        FieldSyntax.check(name, item, isRequest: true)
                    else { continue }
                    let folded = FieldSyntax.folded(name)
                    if owner.fields.contains(where: { FieldSyntax.folded($0) == folded }) {
                        item.report("found '\(name)' a second time")
                    } else {
                        owner.fields.append(name)
                    }
                }
                return true
            },
            .custom(
                "recheck", .duration(rechecks), absent: "never",
                "how often it is asked again while a WebSocket lives; one that it refuses then is told `code`"
            ) { owner, value in
                owner.recheck = value.duration(rechecks)
                return owner.recheck != nil
            },
            .custom(
                "cache", .duration(caches), absent: "it is asked about each request",
                "for how long what it has granted holds for requests about which it would be asked the same, but for what "
                    + "browsers say of themselves"
            ) { owner, value in
                owner.cache = value.duration(caches)
                return owner.cache != nil
            },
            .custom(
                "code", .number(1_000...4_999),
                absent: "`\(ForwardSettings(to: .upstream("")).code)`",
                "the code of the Close for a WebSocket that it grants no more: \(DrainSettings.codesAllowed)"
            ) { owner, value in
                guard let code = DrainSettings.code(value) else { return false }
                owner.code = code
                return true
            },
        ])

    private static let rechecks = Duration.milliseconds(100) ... .seconds(86_400)
    private static let caches = Duration.milliseconds(100) ... .seconds(600)

    init?(_ value: Value) {
        let read = Self.section.decode(value) { settings, fields in
            settings.place = fields.place
            return true
        }
        guard let read else { return nil }
        self = read
    }
}
