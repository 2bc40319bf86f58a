// SPDX-License-Identifier: Apache-2.0
import Wire

/// A route as the reactors use it: what it changes in messages, in the form in which it is written.
final class RoutePlan: Sendable {
    let route: Route
    /// What is changed in requests.
    let request: FieldPlan
    /// What is changed in answers.
    let answer: FieldPlan

    /// The route's relays, counted over reloads.
    let tally: RouteTally

    init(_ route: Route, tally: RouteTally = RouteTally()) {
        self.route = route
        self.tally = tally
        request = FieldPlan(route.requestFields)
        answer = FieldPlan(route.answerFields)
    }
}

/// The changes of a route in the fields of one direction.
struct FieldPlan: Sendable {
    /// Fields that are left out: they are removed, or others take their place.
    let dropped: FieldNames
    /// The lines of the fields that are set and added.
    let lines: [UInt8]

    init(_ edits: FieldEdits) {
        dropped = FieldNames(edits.removed + edits.set.map(\.name))
        var writer = HeadWriter()
        for field in edits.set { writer.field(named: field.name, field.value) }
        for field in edits.added { writer.field(named: field.name, field.value) }
        lines = writer.bytes
    }
}
