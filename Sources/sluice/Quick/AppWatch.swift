// SPDX-License-Identifier: Apache-2.0
import Config
import Doctor
import Glibc
import Ledger
import Reactor
import Synchronization
import TLS

/// Looks after the app behind quick mode: says once that it is not up yet and when it is, and what to
/// change where the two do not fit together.
final class AppWatch: Sendable {
    /// What requests have met since somebody last looked.
    private struct Trouble {
        /// The app could not be reached, or what it said was no answer.
        var hasFailed = false
        /// Paths whose upgrade the app has answered with something else than 101.
        var answers: [Answer] = []

        var isEmpty: Bool { !hasFailed && answers.isEmpty }
    }

    /// An answer that is no 101.
    struct Answer: Hashable {
        let path: String
        let status: Int
    }

    /// What one look has found.
    enum Finding {
        case down(String)
        /// It listens; and what came of a WebSocket to it, where one was tried.
        case up(Answered)
    }

    /// What came of a WebSocket to the app.
    enum Answered {
        /// No WebSocket to the app was tried.
        case unasked
        /// It could not be tried, for this reason.
        case untold(String)
        /// What the doctor says of it.
        case diagnosis(Diagnosis)
        /// It lets in pages of its own origin, and not those that come through Sluice.
        case ownOnly(String, not: String)
    }

    private static let lookMicroseconds: UInt32 = 300_000
    private static let checkMilliseconds: UInt64 = 10_000
    private static let answersMax = 16

    private let endpoint: EndpointAddress
    /// The path at which the app serves its socket, where that is known.
    private let path: String?
    private let isChecked: Bool
    /// Files of authorities that an app which speaks TLS may be signed by.
    private let authorities: [String]
    private let names: [String]
    private let trouble = Mutex(Trouble())
    private let page = Mutex<String?>(nil)
    private let bell: Mailbox<Void>

    /// A watch over an app.
    ///
    /// - Parameters:
    ///   - endpoint: the app.
    ///   - path: where it serves its socket, if that is known.
    ///   - names: what this machine is called in the URLs; those that lead nowhere are told.
    ///   - isChecked: whether a WebSocket is opened to the app to see whether it can.
    ///   - authorities: files of authorities that an app which speaks TLS may be signed by.
    /// - Throws: `SystemError` when there is no descriptor left.
    init(
        _ endpoint: EndpointAddress, path: String?, names: [String], isChecked: Bool,
        trusting authorities: [String] = []
    ) throws(SystemError) {
        self.authorities = authorities
        self.endpoint = endpoint
        self.path = path
        self.names = names
        self.isChecked = isChecked
        bell = try Mailbox()
    }

    private var label: String { endpoint.description }
    /// Host and port.
    private var authority: Substring {
        label.firstRange(of: "://").map { label[$0.upperBound...] } ?? label[...]
    }

    /// The origin of pages that come through Sluice; nil for those of the app's own.
    var pageOrigin: String? {
        get { page.withLock { $0 } }
        set { page.withLock { $0 = newValue } }
    }

    // MARK: What requests meet

    /// Takes notice of a request or relay that has ended; does not wait.
    func note(_ record: AccessRecord) {
        let isAnswer = record.isRefusedUpgrade
        let hasFailed = record.isUpstreamFault
        guard isAnswer || hasFailed else { return }
        let isFirst = trouble.withLock { trouble in
            let isFirst = trouble.isEmpty
            trouble.hasFailed = trouble.hasFailed || hasFailed
            if isAnswer && trouble.answers.count < Self.answersMax {
                trouble.answers.append(Answer(path: record.path, status: record.status))
            }
            return isFirst
        }
        if isFirst { bell.post(()) }
    }

    /// What to change where the app answers an upgrade with a status; paths come from clients and are
    /// shown only if they are plain.
    static func sentence(for answer: Answer, label: String, page: String?) -> String {
        let isPlain = answer.path.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }
        let place = isPlain ? answer.path : "that path"
        let advice =
            switch answer.status {
            case 200..<300:
                "an ordinary page is there: open the path where the app serves its socket"
            case 300..<400:
                "WebSocket clients follow no redirect: open the path that it points to"
            case 401: "log in first"
            case 403:
                "the app may not let in the page's origin"
                    + (page.map { " (\($0) where the page comes through Sluice)" } ?? "")
                    + " or the host in the URL: add both to those that it takes"
            case 404: "it has no WebSocket there; correct the path of the URL"
            case 400, 426: "the app takes no WebSocket there, or not this kind of it: see its log"
            case 500...: "see the app's log"
            default: "the app serves no WebSocket there"
            }
        return "\(label) answers the WebSocket at \(place) with \(answer.status) and not 101:"
            + " \(advice)."
    }

    // MARK: Looking

    /// Starts the thread, which ends with the process.
    func start(_ console: Console) throws(SystemError) {
        _ = try ReactorThread.start(name: "sluice-app") { [self] in
            for sentence in names.compactMap(Self.sentence(forName:)) {
                console.line(Notice.line(sentence))
            }
            run(console)
        }
    }

    private func run(_ console: Console) {
        var isUp: Bool?
        var told: Set<String> = []
        var nextCheck: UInt64 = 0
        func tell(_ sentence: String) {
            if told.count < 64 && told.insert(sentence).inserted {
                console.line(Notice.line(sentence))
            }
        }
        while true {
            let now = Clock.nowMilliseconds()
            let mayCheck = isChecked && (now >= nextCheck || isUp != true)
            switch look(asking: mayCheck) {
            case .down(let why):
                if isUp != false {
                    console.line("app       \(why); Sluice waits for it")
                }
                isUp = false
                usleep(Self.lookMicroseconds)
                continue
            case .up(let answered):
                if isUp == false { console.line("app       \(label) is up") }
                isUp = true
                switch answered {
                case .diagnosis, .ownOnly:
                    nextCheck = Clock.nowMilliseconds() + Self.checkMilliseconds
                case .unasked, .untold: break
                }
                if case .diagnosis(let diagnosis) = answered, let sentence = advice(diagnosis) {
                    tell(sentence)
                } else if let line = word(answered), told.insert(line).inserted {
                    console.line("app       \(line)")
                }
            }
            var hasFailed = false
            while !hasFailed {
                _ = bell.wait(milliseconds: -1)
                _ = bell.take()
                let met = trouble.withLock { trouble in
                    defer { trouble = Trouble() }
                    return trouble
                }
                for answer in met.answers {
                    tell(Self.sentence(for: answer, label: label, page: pageOrigin))
                }
                hasFailed = met.hasFailed
            }
            // Whoever tries again and again is not looked after as often.
            usleep(Self.lookMicroseconds)
        }
    }

    /// Whether the app listens and, if asked, what becomes of a WebSocket to it.
    private func look(asking: Bool) -> Finding {
        guard asking, endpoint.hostAndPort != nil, let url = SocketURL(label + (path ?? "/")) else {
            let answered = asking ? Answered.untold("no WebSocket is tried there") : .unasked
            return isListening() ? .up(answered) : .down("nothing listens at \(label) yet")
        }
        var options = Doctor.Options()
        options.timeoutSeconds = 5
        options.authorities = authorities
        let own = (endpoint.isSecure ? "https://" : "http://") + url.authority
        options.origin = pageOrigin ?? own
        let diagnosis: Diagnosis
        do throws(TLSError) {
            diagnosis = try Doctor.examine(url, options)
            if diagnosis.verdict == .forbidden, let origin = options.origin, origin != own {
                options.origin = own
                let other = try Doctor.examine(url, options).verdict
                if other == .healthy || other == .slow { return .up(.ownOnly(own, not: origin)) }
            }
        } catch {
            return .up(.untold("\(error)"))
        }
        switch diagnosis.verdict {
        case .refused: return .down("nothing listens at \(label) yet")
        case .unreachable: return .down("nothing comes back from \(label)")
        case .nameNotFound: return .down("the name of \(label) has no address")
        default: return .up(.diagnosis(diagnosis))
        }
    }

    /// The line on an app for which nothing has to be changed, or for which that can't be told; nil where
    /// nobody has asked it.
    private func word(_ answered: Answered) -> String? {
        let place = path ?? "/"
        switch answered {
        case .unasked: return nil
        case .untold(let reason):
            return "\(label) listens; whether it takes a WebSocket could not be told: \(reason)"
        case .ownOnly(let own, let page):
            return "\(label) takes a WebSocket at \(place) from pages of \(own), and answers those"
                + " of \(page) with 403: let the app take that origin too."
        case .diagnosis(let diagnosis):
            switch diagnosis.verdict {
            // Sluice tries all addresses, and speaks HTTP/1.1 to the app; what browsers trust, it need not care for.
            case .healthy, .slow, .oneFamily, .http2Fails, .untrustedByBrowsers:
                return "\(label) takes a WebSocket at \(place) and answers a ping"
            case .closedAtOnce, .noPong:
                return "\(label) takes a WebSocket at \(place). \(diagnosis.sentence)"
            default: break
            }
            if let step = diagnosis.steps.last, step.kind == .upgrade,
                step.found.first.map({ ("0"..."9").contains($0) }) == true
            {
                return "\(label) answers a WebSocket at \(place) with \(step.found)"
                    + advice(onAnswer: step.found, diagnosis)
            }
            return "\(label) listens; whether it takes a WebSocket could not be told."
                + " \(diagnosis.sentence) See the app's log, or try the path of its socket: sluice doctor"
                + " \(label)/your/path"
        }
    }

    /// What to change where the app answers with that status at a path that nobody has named, with the app's own words.
    private func advice(onAnswer found: String, _ diagnosis: Diagnosis) -> String {
        let page = pageOrigin
        let words = diagnosis.notes.first { $0.hasPrefix("The answer says: ") }
        let said = words.map { " (\($0.dropFirst("The answer says: ".count)))" } ?? ""
        return switch Int(found.prefix { $0 != " " }) {
        case 401: said + ": it wants to know who asks; pages that have logged in get in"
        case 403:
            said + ": the app refuses "
                + (page.map { "pages of \($0): let it take that origin" } ?? "the page's origin")
                + ", or the socket is at another path"
        case 400:
            said + ": it may want a subprotocol or a parameter, or serve the socket at another path"
        case .some(500...): said + ": see its log"
        default:
            said
                + "; the socket may be at another path: `sluice doctor \(label)/your/path` tries one"
        }
    }

    private func isListening() -> Bool {
        let addresses: [Address]
        switch endpoint {
        case .unix(let path):
            addresses = [try? Address(parsing: "unix:" + path)].compactMap { $0 }
        case .tcp(let host, let port), .tls(let host, let port):
            addresses = (try? Resolver.resolve(host: host, port: port)) ?? []
        // Where its endpoints are, the resolver of the server finds out, and says what it finds.
        case .service: return true
        }
        return addresses.contains { address in
            guard let socket = try? Socket.stream(for: address) else { return false }
            switch socket.connect(to: address) {
            case .connected: return true
            // Who has a full queue listens.
            case .failed(let code): return code == EAGAIN
            case .inProgress:
                var waitFor = pollfd(fd: socket.descriptor, events: Int16(POLLOUT), revents: 0)
                return poll(&waitFor, 1, 2_000) > 0 && socket.pendingError() == 0
            }
        }
    }

    /// What to change by what the doctor has found; nil where nothing has to be, or where the socket
    /// may be at another path than was asked for.
    private func advice(_ diagnosis: Diagnosis) -> String? {
        switch diagnosis.verdict {
        case .healthy, .slow, .oneFamily, .http2Fails, .untrustedByBrowsers, .closedAtOnce, .noPong:
            return nil
        case .speaksTLS:
            let secure = "https" + label.dropFirst(2)
            return
                "\(label) speaks TLS itself: start `sluice \(secure)`, or switch TLS off in the app."
        case .plainHTTP where endpoint.isSecure:
            return
                "\(label) speaks no TLS: start `sluice http\(label.dropFirst(3))`."
        case .selfSigned, .untrustedAuthority, .missingIntermediate:
            return
                "\(label): \(diagnosis.sentence) Sluice does not believe it either: give its file, or its authority's, as"
                + " `--app-ca FILE`. The app's own is what `openssl s_client -connect \(authority) </dev/null |"
                + " openssl x509 -out app.pem` writes."
        case .wrongName, .expired, .notYetValid, .badCertificate:
            return "\(label): \(diagnosis.sentence) \(diagnosis.remedy)"
        case .otherProtocol:
            return "\(diagnosis.sentence) Give the port of your app: sluice PORT."
        case .wrongAccept, .fieldsStripped:
            return "\(diagnosis.sentence) \(diagnosis.remedy)"
        default:
            guard let path else { return nil }
            if let status = Self.statuses[diagnosis.verdict] {
                return Self.sentence(
                    for: Answer(path: path, status: status), label: label, page: pageOrigin)
            }
            return "\(label): \(diagnosis.sentence) \(diagnosis.remedy)"
        }
    }

    /// Verdicts that stand for one status.
    private static let statuses: [Verdict: Int] = [
        .unauthorized: 401, .forbidden: 403, .notFound: 404, .upgradeRequired: 426,
        .tooManyRequests: 429, .badGateway: 502, .unavailable: 503, .gatewayTimeout: 504,
    ]

    /// What to do where a name does not lead to this machine.
    ///
    /// Names below `localhost` need nothing: browsers take them for this machine (RFC 6761 §6.3).
    static func sentence(forName name: String) -> String? {
        guard name != "localhost", !name.hasPrefix("*"), Address(host: name, port: 0) == nil else {
            return nil
        }
        if name.lowercased().hasSuffix(".localhost") {
            return SystemNames.isThisMachine(name)
                ? nil
                : SystemNames.notice(name, since: "this machine's resolver does not know it")
        }
        let own = NetworkAddresses.all()
        let found = (try? Resolver.resolve(host: name, port: 0)) ?? []
        if found.contains(where: { $0.isLoopback || own.contains($0) }) { return nil }
        return "\(name) "
            + (found.isEmpty ? "has no address" : "leads to \(found[0].hostString), not here")
            + ": add the line `127.0.0.1 \(name)` to /etc/hosts, or use a name below localhost."
    }
}
