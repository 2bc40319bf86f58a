// SPDX-License-Identifier: Apache-2.0
import Router
import Wire

extension Routing {
    /// Why a path that could be read otherwise may not take the route that was found for it; nil where it may.
    ///
    /// It goes on as it came, and the upstream may read it in another way than the table did. So every
    /// reading has to be a path of the same route, or a request could reach what that route does not
    /// lead to. Where the route rewrites a prefix, none may leave what stands in its place.
    func refusal(
        ofReadings path: [UInt8], host: Span<UInt8>, route index: Int,
        _ asked: () -> RouteAsked
    ) -> Refusal? {
        let route = plans[index].route
        let hasEscape = EscapedSlash.isIn(path)
        if hasEscape && route.rejectsEscapedSlash { return .escapedSlash(rejectedBy: route.name) }
        let leaving: Refusal =
            hasEscape ? .escapedSlash(leaving: route.name) : .otherReading(leaving: route.name)
        // A segment with a name is one, however it is read.
        if hasEscape,
            route.captures.contains(where: { capture in
                PathCapture.range(of: capture.segment, in: path.span)
                    .map { EscapedSlash.isIn(Array(path[$0])) } ?? false
            })
        {
            return leaving
        }
        guard let readings = EscapedSlash.readings(of: path) else { return leaving }
        for reading in readings where self.route(host: host, path: reading.span, asked) != index {
            return leaving
        }
        if let kept = table.keptByRewrite(path, by: index),
            EscapedSlash.readings(of: Array(kept)) == nil
        {
            return leaving
        }
        return nil
    }
}
