// SPDX-License-Identifier: Apache-2.0
import Router
import Splice
import TLS
import Wire

/// A route as the reactors use it: what it changes in messages, in the form in which it is written.
final class RoutePlan: Sendable {
    let route: Route
    /// What is changed in requests.
    let request: FieldPlan
    /// What is changed in answers.
    let answer: FieldPlan

    /// Whether requests for a WebSocket get a name for it, since the route's fields tell that.
    let tellsRelay: Bool

    /// Whether the table may have another path for the upstream.
    let isRewritten: Bool

    /// Times of its own; nil where it has none.
    let times: RouteTimes?

    /// The route's relays, counted over reloads.
    let tally: RouteTally

    /// The segments of the path by whose values is counted; nil where there is none.
    let captures: [CountedCapture]?

    init(_ route: Route, tally: RouteTally = RouteTally(), isRewritten: Bool = true) {
        self.route = route
        self.isRewritten = isRewritten
        self.tally = tally
        captures =
            route.countedCaptures.isEmpty
            ? nil
            : route.countedCaptures.map {
                CountedCapture(
                    name: $0.name, segment: $0.segment, counter: tally.captureCounter($0.name))
            }
        times = route.times
        request = FieldPlan(route.requestFields, dropping: route.access?.forward?.fields ?? [])
        answer = FieldPlan(route.answerFields)
        tellsRelay = request.tells(.relay) || answer.tells(.relay)
    }

    /// The faults that hold now: those of the moment, else those of the configuration; nil for none.
    func faults(nowMilliseconds now: UInt64) -> FaultPlan? {
        if let chaos = tally.chaos, !chaos.isOver(nowMilliseconds: now) { return chaos }
        guard let faults = route.faults, !faults.isOver(nowMilliseconds: now) else { return nil }
        return faults
    }
}

/// The changes of a route in the fields of one direction.
struct FieldPlan: Sendable {
    /// Fields that are left out: they are removed, or others take their place.
    let dropped: FieldNames
    /// Whether `traceparent` is among them, so that what is said of a trace is the operator's.
    let saysTrace: Bool
    /// The lines of the fields that are set and added, up to the first one that names a fact.
    let lines: [UInt8]
    /// The lines from that one on, in their order; empty where no field names a fact.
    private let rest: [Line]
    /// Whether one of them tells something of the request.
    let tellsOfRequest: Bool

    /// A field of which a part is known only with the request.
    struct Line {
        /// The field's name with `: ` behind it.
        let name: [UInt8]
        let parts: [Part]

        enum Part {
            case text([UInt8])
            case fact(ConnectionFact)
            case told(RequestFact)
        }
    }

    init(_ edits: FieldEdits, dropping others: [String] = []) {
        dropped = FieldNames(edits.removed + edits.set.map(\.name) + others)
        saysTrace = dropped.contains("traceparent")
        let fields = edits.set + edits.added
        let first = fields.firstIndex { $0.constant == nil } ?? fields.endIndex
        var writer = HeadWriter()
        for field in fields[..<first] { writer.field(named: field.name, field.constant ?? "") }
        lines = writer.bytes
        rest = fields[first...].map { field in
            Line(
                name: Array("\(field.name): ".utf8),
                parts: field.value.map { part in
                    switch part {
                    case .text(let text): .text(Array(text.utf8))
                    case .fact(let fact): .fact(fact)
                    case .told(let fact): .told(fact)
                    }
                })
        }
        tellsOfRequest = rest.contains { $0.tellsOfRequest }
    }

    /// Whether one of the fields tells this.
    func tells(_ fact: RequestFact) -> Bool { rest.contains { $0.tells(fact) } }

    /// Writes the lines of a request that came this way.
    ///
    /// A field that names a fact which this way or request does not have is left out. `told` is there where
    /// `tellsOfRequest` says so.
    func write(_ hop: Hop, _ told: ToldFacts? = nil, into writer: inout HeadWriter) {
        writer.append(lines)
        // By index: an iterator over values of this kind allocates where nothing is optimized.
        for index in 0..<rest.count {
            let line = rest[index]
            if line.isKnown(hop, told) { line.write(hop, told, into: &writer) }
        }
    }
}

extension FieldPlan.Line {
    var tellsOfRequest: Bool {
        parts.contains { part in
            if case .told = part { return true }
            return false
        }
    }

    func tells(_ fact: RequestFact) -> Bool {
        parts.contains { part in
            if case .told(fact) = part { return true }
            return false
        }
    }

    func isKnown(_ hop: Hop, _ told: ToldFacts?) -> Bool {
        for index in 0..<parts.count {
            switch parts[index] {
            case .text: break
            case .fact(let fact): if !fact.isKnown(hop) { return false }
            case .told(let fact): if told?.value(of: fact) == nil { return false }
            }
        }
        return true
    }

    /// Writes the whole line.
    ///
    /// Values of facts are names from registries and what ALPN agreed on out of our own list. Those of a request
    /// hold nothing that can't stand in a field, or are not known.
    func write(_ hop: Hop, _ told: ToldFacts?, into writer: inout HeadWriter) {
        writer.append(name)
        for index in 0..<parts.count {
            switch parts[index] {
            case .text(let text): writer.append(text)
            case .fact(let fact):
                var value = fact.value(hop) ?? ""
                value.withUTF8 { writer.append($0) }
            case .told(let fact): writer.append(told?.value(of: fact) ?? [])
            }
        }
        writer.end()
    }
}

extension ConnectionFact {
    fileprivate func isKnown(_ hop: Hop) -> Bool { value(hop) != nil }

    /// Its value, in the words of the log; nil where the way has no TLS, or agreed on none.
    fileprivate func value(_ hop: Hop) -> String? {
        guard let tls = hop.tls else { return nil }
        return switch self {
        case .tlsVersion: tls.version.description
        case .tlsCipher: tls.cipherName
        case .tlsGroup: tls.groupName
        case .alpn: tls.applicationProtocol
        }
    }
}
