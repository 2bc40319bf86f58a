// SPDX-License-Identifier: Apache-2.0
import Reactor
public import Serialization
import Splice

/// Who has come too often, as fields: places are not among them, since each relay that moves takes its own.
extension Admission {
    private enum Number {
        static let client: UInt16 = 1
        static let due: UInt16 = 2
    }

    /// Clients that are written at most: those who have come too often.
    private static let clientsMax = 0x7FFF

    func write(to writer: inout FieldWriter, nowMilliseconds now: UInt64) {
        var number: UInt16 = 0
        for (client, due) in owing(nowMilliseconds: now).prefix(Self.clientsMax) {
            number += 1
            writer.part(number) { part in
                part.part(Number.client) { client.write(to: &$0) }
                part.put(Number.due, due)
            }
        }
    }

    func take(_ reader: inout FieldReader) throws(FieldFault) {
        for var part in try reader.parts() {
            var client = try part.part(Number.client)
            owe(try Address(&client), until: try part.integer(Number.due))
        }
    }
}

extension Frontend {
    private enum Number {
        static let clients: UInt16 = 1
        static let routes: UInt16 = 2
        static let name: UInt16 = 1
        static let admission: UInt16 = 2
    }

    /// Writes who has come too often, to all and to each route.
    public func writeAdmissions(to writer: inout FieldWriter) {
        let now = Clock.nowMilliseconds()
        writer.part(Number.clients) { crew.clients.write(to: &$0, nowMilliseconds: now) }
        writer.part(Number.routes) { routes in
            var number: UInt16 = 0
            for plan in served.routing.plans
            where number < 0x7FFF && !plan.route.admission.isEmpty {
                number += 1
                routes.part(number) { route in
                    route.put(Number.name, plan.route.name)
                    route.part(Number.admission) {
                        plan.tally.admission.write(to: &$0, nowMilliseconds: now)
                    }
                }
            }
        }
    }

    /// Takes what `writeAdmissions` of the process before wrote, as far as this build understands it.
    public func takeAdmissions(_ reader: inout FieldReader) {
        if var clients = try? reader.part(Number.clients) { try? crew.clients.take(&clients) }
        guard var routes = try? reader.part(Number.routes), let parts = try? routes.parts() else {
            return
        }
        let plans = Dictionary(served.routing.plans.map { ($0.route.name, $0) }) { first, _ in
            first
        }
        for var route in parts {
            if let name = try? route.text(Number.name),
                var admission = try? route.part(Number.admission)
            {
                try? plans[name]?.tally.admission.take(&admission)
            }
        }
    }
}
