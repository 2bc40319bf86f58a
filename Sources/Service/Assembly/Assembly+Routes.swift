// SPDX-License-Identifier: Apache-2.0
import Config
import Frontend
import Router
import Wire

/// What routes say of the requests that go upstream by them.
extension Assembly {
    /// The times of a route; nil where it has none of its own.
    static func times(_ timeouts: RouteTimeouts) -> RouteTimes? {
        guard timeouts != RouteTimeouts() else { return nil }
        var times = RouteTimes()
        times.connectMilliseconds = timeouts.connect?.wholeMilliseconds
        times.upgradeMilliseconds = timeouts.upgrade?.wholeMilliseconds
        times.answerMilliseconds = timeouts.answer?.wholeMilliseconds
        times.bodyMilliseconds = timeouts.body?.wholeMilliseconds
        times.answerBodyMilliseconds = timeouts.answerBody?.wholeMilliseconds
        return times
    }

    /// What is told of the way; nil where all is.
    static func wayTold(_ route: RouteSettings) -> WayTold? {
        guard !route.via || route.forwarded != ForwardedSettings() else { return nil }
        var told = WayTold()
        told.via = route.via
        told.xForwarded = route.forwarded.xForwarded
        told.forwarded = route.forwarded.forwarded
        if case .number(let port) = route.forwarded.port { told.port = port }
        return told
    }

    // MARK: Patterns

    static func entry(
        of route: RouteSettings
    ) throws(ConfigurationProblems) -> RouteEntry {
        let host: HostPattern
        do throws(PatternFault) {
            host = try HostPattern(parsing: route.host)
        } catch {
            throw problem(route.places.host, error.description)
        }
        try checkHostField(of: route, host)
        let path = try pattern(route.path, at: route.places.path)
        var rewriteText = route.rewrite
        if case .redirect(let redirect) = route.to { rewriteText = redirect.path }
        let rewrite = try rewriteText.map { text throws(ConfigurationProblems) in
            try pattern(text, at: route.places.rewrite, isRewrite: true)
        }
        return RouteEntry(
            host: host, path: path, rewrite: rewrite, place: route.place.description,
            conditions: conditions(route))
    }

    /// What requests have to be beside their host and path.
    private static func conditions(_ route: RouteSettings) -> RouteConditions {
        var conditions = RouteConditions()
        conditions.listeners = Set(route.listen)
        conditions.upgrade = route.when.upgrade
        conditions.methods = Set(route.when.methods)
        for field in route.when.fields {
            conditions.fields[field.name.lowercased()] = ValueGlob(field.value)
        }
        for parameter in route.when.query {
            conditions.query[parameter.name] = ValueGlob(parameter.value)
        }
        return conditions
    }

    /// A path pattern in the one form in which requests are compared with it.
    static func pattern(
        _ text: String, at place: SourcePlace, isRewrite: Bool = false
    ) throws(ConfigurationProblems) -> PathPattern {
        let taken: (plain: String, captures: [PathCapture])
        do throws(PatternFault) {
            taken = try PathCapture.take(outOf: text)
        } catch {
            throw problem(place, error.description)
        }
        let isPrefix = text.hasSuffix("*")
        let plain = taken.plain
        let canonical: [UInt8]
        do throws(HeadFault) {
            canonical = try RequestTarget.canonicalPath(isPrefix ? String(plain.dropLast()) : plain)
        } catch {
            throw problem(place, error.sentence)
        }
        let slash = UInt8(ascii: "/")
        if !taken.captures.isEmpty,
            canonical.count(where: { $0 == slash }) != plain.utf8.count(where: { $0 == slash })
        {
            throw problem(place, "'.' and '..' are resolved in requests, so this never matches")
        }
        do throws(PatternFault) {
            let form = String(decoding: canonical, as: UTF8.self) + (isPrefix ? "*" : "")
            return try PathPattern(
                parsing: form, isRewrite: isRewrite, captures: taken.captures)
        } catch {
            throw problem(place, error.description)
        }
    }

    /// Keys that are segments of paths have to be there for one route at least.
    static func checkSegments(
        _ configuration: Configuration, _ routes: [Route]
    ) throws(ConfigurationProblems) {
        for (name, upstream) in configuration.upstreams.sorted(by: { $0.key < $1.key }) {
            guard case .hash(.segment(let segment)) = upstream.balance else { continue }
            let leading = zip(configuration.routes, routes)
                .filter { $0.0.to == .upstream(name) }.map(\.1)
            guard !leading.isEmpty,
                !leading.contains(where: { $0.captures.contains { $0.name == segment } })
            else { continue }
            throw problem(
                upstream.place,
                "upstreams.\(name).balance: found 'hash(path:\(segment))', but no route to it has"
                    + " {\(segment)} in its path")
        }
    }

    // MARK: Fields

    static func field(
        _ field: FieldSettings.Field, _ captures: [PathCapture]
    ) -> FieldEdits.Field {
        FieldEdits.Field(name: field.name, value: field.value.parts.map { part($0, captures) })
    }

    private static func part(
        _ part: FieldValue.Part, _ captures: [PathCapture]
    ) -> FieldEdits.Field.Part {
        switch part {
        case .text(let text): return .text(text)
        case .placeholder(.tlsVersion): return .fact(.tlsVersion)
        case .placeholder(.tlsCipher): return .fact(.tlsCipher)
        case .placeholder(.tlsGroup): return .fact(.tlsGroup)
        case .placeholder(.alpn): return .fact(.alpn)
        case .word(.client): return .told(.client)
        case .word(.host): return .told(.host)
        case .word(.scheme): return .told(.scheme)
        case .word(.port): return .told(.port)
        case .word(.sni): return .told(.serverName)
        case .word(.relay): return .told(.relay)
        case .word(.subject): return .told(.user)
        case .capture(let name):
            guard let capture = captures.first(where: { $0.name == name }) else {
                preconditionFailure("a field tells a segment that the path has not")
            }
            return .told(.segment(capture.segment))
        }
    }
}
