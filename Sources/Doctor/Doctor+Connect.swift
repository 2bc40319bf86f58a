// SPDX-License-Identifier: Apache-2.0
import Glibc

extension Doctor {
    /// An address that did not answer.
    private struct Missed {
        let address: ResolvedAddress
        /// Nothing came back, not even a refusal.
        var isSilent = false
        /// Neither silence nor a refusal.
        var isFailed = false
        /// What came of connecting to this address, as a clause for people.
        let how: String
    }

    /// The addresses to try: those that were given for the name, or what the system knows.
    func addresses() -> Result<[ResolvedAddress], NameFault> {
        guard let given = options.addresses[url.host.lowercased()] else {
            return find(url.host, port: url.port)
        }
        var all: [ResolvedAddress] = []
        for address in given {
            switch find(address, port: url.port) {
            case .success(let found): all += found
            case .failure(let fault): return .failure(fault)
            }
        }
        return .success(all)
    }

    /// The addresses of a name, looked for up to the time when all must have happened.
    func find(_ name: String, port: UInt16) -> Result<[ResolvedAddress], NameFault> {
        ResolvedAddress.find(name, port: port, by: answerDeadline)
    }

    /// Name and TCP: the first address that somebody listens on.
    mutating func connect() -> Line? {
        let all: [ResolvedAddress]
        switch addresses() {
        case .failure(let fault):
            bad(
                .name, "\(url.host): \(fault.reason)", .nameNotFound,
                "The name \(url.host) has no address: \(fault.reason).",
                fault.remedy)
            return nil
        case .success(let found): all = found
        }
        let isWithin = all.contains { $0.isUnknownSince != nil }
        good(
            .name,
            "\(url.host) is \(all.map(\.text).joined(separator: ", "))\(isWithin ? " for browsers" : "")"
        )
        if let reason = all.compactMap(\.isUnknownSince).first {
            let notice = SystemNames.notice(url.host, since: reason)
            diagnosis.notes.append(notice.prefix(1).uppercased() + notice.dropFirst())
        }
        var missed: [Missed] = []
        var wayless: [ResolvedAddress] = []
        for (index, address) in all.enumerated() {
            switch Line.connect(address, by: deadline(for: all.count - index)) {
            case .done(let line):
                line.deadline = deadline
                self.address = address
                good(.tcp, "\(address.text) port \(url.port)")
                compare(address, missed, all.dropFirst(index + 1))
                return line
            case .refused:
                missed.append(Missed(address: address, how: "refuses"))
            case .timedOut:
                missed.append(Missed(address: address, isSilent: true, how: "does not answer"))
            case .noRoute:
                wayless.append(address)
                diagnosis.notes.append("This machine has no way to \(address.text).")
            case .failed(let reason):
                missed.append(
                    Missed(address: address, isFailed: true, how: "fails (\(reason))"))
            }
        }
        nobody(all, missed, wayless)
        return nil
    }

    private mutating func nobody(
        _ all: [ResolvedAddress], _ missed: [Missed], _ wayless: [ResolvedAddress]
    ) {
        let tried = all.map(\.text).joined(separator: ", ")
        if missed.isEmpty {
            let families = Set(wayless.map(\.familyName)).sorted().joined(separator: " or ")
            bad(
                .tcp, "no way to \(tried)", .unreachable,
                "This machine has no way to \(url.host): its network has no route to \(tried).",
                "Join a network that has \(families), or use a name or address that this one leads to."
            )
        } else if let failed = missed.first, missed.allSatisfy(\.isFailed) {
            bad(
                .tcp, "\(failed.address.text) port \(url.port) \(failed.how)", .unreachable,
                "Connecting to \(url.host) port \(url.port) \(failed.how): most likely a packet filter"
                    + " of this machine forbids it.",
                "Open port \(url.port) on the way, or correct the host in the URL.")
        } else if missed.contains(where: \.isSilent) {
            bad(
                .tcp, "no answer from \(tried) port \(url.port)", .unreachable,
                "Nothing comes back from \(url.host) port \(url.port): a packet filter drops it, or"
                    + " the machine is off.",
                "Open port \(url.port) on the way, or correct the host in the URL.")
        } else {
            bad(
                .tcp, "refused by \(tried) port \(url.port)", .refused,
                "Nobody listens on \(url.host) port \(url.port).",
                "Start the server, or correct the port in the URL.")
        }
    }

    /// Whether the name answers on both families, where it has both.
    ///
    /// The first address that the system gives is the one that clients take which try no other: if it
    /// is of the family that does not answer, that is worth a verdict, else a note.
    private mutating func compare(
        _ working: ResolvedAddress, _ missed: [Missed], _ rest: ArraySlice<ResolvedAddress>
    ) {
        if let first = missed.first {
            let how = missed.map { "\($0.address.text) \($0.how)" }.joined(separator: ", ")
            if first.address.family != working.family {
                let host = working.family == AF_INET6 ? "[\(working.text)]" : working.text
                reserve(
                    .oneFamily,
                    "\(url.host) answers on \(working.familyName) only: \(how) at port \(url.port),"
                        + " and that is the address it has first. Browsers go on to"
                        + " \(working.text); clients that take the first address alone fail (Node.js"
                        + " 17 to 19 among them).",
                    "Have the server listen on \(first.address.text) too, or write \(host) in the"
                        + " URL, if the certificate has it.")
            } else {
                diagnosis.notes.append("\(url.host) answers on \(working.text), but \(how).")
            }
            return
        }
        // Elsewhere a packet filter would cost time, and nobody asked.
        guard url.isLocal,
            let other = rest.first(where: { $0.family != working.family && !$0.isAssumed })
        else { return }
        switch Line.connect(other, by: min(answerDeadline, Line.now() + 0.25)) {
        case .done, .noRoute: break
        case .refused, .timedOut, .failed:
            diagnosis.notes.append(
                "\(url.host) answers on \(working.familyName) only, not on \(other.text): clients"
                    + " that try that one first lose time or fail. Have the server listen on both.")
        }
    }

    /// A share of the time for each address that is left.
    private func deadline(for left: Int) -> Double {
        let now = Line.now()
        return now + max(0, (answerDeadline - now) / Double(left))
    }

    /// Another connection to the same address, with two seconds for all on it, if there are so many left.
    func secondLine() -> Line? {
        let limit = min(answerDeadline, Line.now() + 2)
        guard let address, case .done(let line) = Line.connect(address, by: limit) else {
            return nil
        }
        return line
    }

    /// Whether the port of a URL answers a TLS handshake in TLS; nil where it takes no connection.
    public static func speaksTLS(at url: SocketURL, _ options: Options) -> Bool? {
        var doctor = Doctor(url, options)
        guard doctor.connect() != nil else { return nil }
        return doctor.findsTLS()
    }
}
