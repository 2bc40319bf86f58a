// SPDX-License-Identifier: Apache-2.0
import CAres
import Glibc
import Reactor

/// Asks hosts files and DNS servers, any number of questions at a time; nothing here waits.
///
/// It belongs to one thread, whose poller watches its sockets and which has it go on.
final class NameClient {
    /// What became of a question.
    typealias Outcome = Result<NameAnswer, NameFault>

    /// Reads hosts files alone: what they say has no time to live.
    private let files: ares_channel
    /// Asks DNS servers alone: what they say has a time to live.
    private let servers: ares_channel
    private let fileSockets = NameSockets(tag: filesTag)
    private let serverSockets = NameSockets(tag: serversTag)

    /// The tags of the tokens of each channel's sockets.
    private static let filesTag: UInt8 = 1
    private static let serversTag: UInt8 = 2

    /// How long one server is waited for the first time; each further attempt takes twice as long.
    private static let timeoutMilliseconds: Int32 = 1_500
    /// How often each is asked.
    private static let tries: Int32 = 2

    private static let library = ares_library_init(Int32(ARES_LIB_INIT_ALL))

    /// A client of these servers, written `127.0.0.1:53` or `[::1]:53`; of the system's if there are
    /// none.
    init(servers addresses: [String] = []) throws(NameFault) {
        guard Self.library == 0 else { throw Self.fault("c-ares", Self.library) }
        files = try Self.channel(lookups: "f", fileSockets)
        do throws(NameFault) {
            servers = try Self.channel(lookups: "b", serverSockets)
        } catch {
            ares_destroy(files)
            throw error
        }
        guard !addresses.isEmpty else { return }
        let code = ares_set_servers_ports_csv(servers, addresses.joined(separator: ","))
        guard code == 0 else { throw Self.fault(addresses.joined(separator: ", "), code) }
    }

    deinit {
        // Who still waits is told that it is over.
        ares_destroy(files)
        ares_destroy(servers)
    }

    private static func channel(
        lookups: String, _ sockets: NameSockets
    ) throws(NameFault) -> ares_channel {
        var options = ares_options()
        options.timeout = timeoutMilliseconds
        options.tries = tries
        // The client ends the channel before it lets go of the sockets.
        options.sock_state_cb_data = Unmanaged.passUnretained(sockets).toOpaque()
        options.sock_state_cb = { data, descriptor, reads, writes in
            guard let data else { return }
            Unmanaged<NameSockets>.fromOpaque(data).takeUnretainedValue()
                .note(descriptor, reads: reads != 0, writes: writes != 0)
        }
        var channel: ares_channel?
        let mask = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB
        let code = lookups.withCString { text -> Int32 in
            options.lookups = UnsafeMutablePointer(mutating: text)
            return ares_init_options(&channel, &options, Int32(mask))
        }
        guard code == 0, let channel else { throw fault("c-ares", code) }
        return channel
    }

    /// Asks; `done` is called on this thread, now or while the client goes on, and once.
    func ask(_ question: NameQuestion, _ done: @escaping (Outcome) -> Void) {
        switch question {
        case .addresses(let host):
            Self.askAddresses(files, host, isFile: true) { [servers] found in
                if case .success = found { return done(found) }
                Self.askAddresses(servers, host, isFile: false, done)
            }
        case .services(let name):
            let asking = Unmanaged.passRetained(Asking(name, isFile: false, done))
            ares_query(
                servers, name, 1, 33,
                { argument, code, _, bytes, count in
                    guard let asking = Asking.take(argument) else { return }
                    asking.takeServices(code, UnsafeBufferPointer(start: bytes, count: Int(count)))
                }, asking.toOpaque())
        }
    }

    private static func askAddresses(
        _ channel: ares_channel, _ host: String, isFile: Bool, _ done: @escaping (Outcome) -> Void
    ) {
        var hints = ares_addrinfo_hints()
        hints.ai_family = AF_UNSPEC
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        let asking = Unmanaged.passRetained(Asking(host, isFile: isFile, done))
        ares_getaddrinfo(
            channel, host, nil, &hints,
            { argument, code, _, info in
                guard let asking = Asking.take(argument) else { return }
                asking.takeAddresses(code, info)
                if let info { ares_freeaddrinfo(info) }
            }, asking.toOpaque())
    }

    // MARK: Going on

    /// Has the poller watch the sockets that are open now.
    func watch(with poller: borrowing Poller) {
        fileSockets.update(poller)
        serverSockets.update(poller)
    }

    /// When it has to go on though nothing was heard, in milliseconds; -1 if it need not.
    var timeoutMilliseconds: Int32 {
        var wait = WaitTime()
        for channel in [files, servers] {
            var time = timeval()
            guard ares_timeout(channel, nil, &time) != nil else { continue }
            let milliseconds = time.tv_sec * 1_000 + Int(time.tv_usec + 999) / 1_000
            wait.limit(to: Int32(clamping: milliseconds))
        }
        return wait.milliseconds
    }

    /// Goes on with a socket of which the poller has told.
    func isReady(_ token: Token, _ flags: Readiness) {
        let socket = ares_socket_t(bitPattern: token.index)
        let isReadable = !flags.isDisjoint(with: [.readable, .hangup, .broken])
        ares_process_fd(
            token.tag == Self.filesTag ? files : servers, isReadable ? socket : -1,
            flags.contains(.writable) ? socket : -1)
    }

    /// Goes on with what has waited long enough.
    func endWaiting() {
        for channel in [files, servers] { ares_process_fd(channel, -1, -1) }
    }

    static func fault(_ name: String, _ code: Int32) -> NameFault {
        NameFault(
            "\(name) cannot be resolved: \(String(cString: ares_strerror(code)));"
                + " \(Resolver.advice)",
            isTimeout: code == ARES_ETIMEOUT)
    }
}

/// One question on its way.
private final class Asking {
    let name: String
    let isFile: Bool
    let done: (NameClient.Outcome) -> Void

    init(_ name: String, isFile: Bool, _ done: @escaping (NameClient.Outcome) -> Void) {
        self.name = name
        self.isFile = isFile
        self.done = done
    }

    static func take(_ argument: UnsafeMutableRawPointer?) -> Asking? {
        argument.map { Unmanaged<Asking>.fromOpaque($0).takeRetainedValue() }
    }

    func takeAddresses(_ code: Int32, _ info: UnsafeMutablePointer<ares_addrinfo>?) {
        guard code == 0, let info else { return done(.failure(NameClient.fault(name, code))) }
        var addresses: [Address] = []
        var ttl = UInt32.max
        var node = info.pointee.nodes
        while let entry = node {
            let length = Int(entry.pointee.ai_addrlen)
            if let pointer = entry.pointee.ai_addr,
                let address = Address(socketAddress: pointer, length: length)?.with(port: 0)
            {
                if !addresses.contains(address) { addresses.append(address) }
                ttl = min(ttl, UInt32(clamping: entry.pointee.ai_ttl))
            }
            node = entry.pointee.ai_next
        }
        var alias = info.pointee.cnames
        while let entry = alias {
            ttl = min(ttl, UInt32(clamping: entry.pointee.ttl))
            alias = entry.pointee.next
        }
        guard !addresses.isEmpty else {
            return done(.failure(NameFault("\(name) has no IPv4 or IPv6 address")))
        }
        done(
            .success(
                NameAnswer(content: .addresses(addresses), ttlSeconds: isFile ? nil : ttl)))
    }

    func takeServices(_ code: Int32, _ message: UnsafeBufferPointer<UInt8>) {
        guard code == 0 else {
            return done(.failure(NameClient.fault("srv:\(name)", code)))
        }
        guard let answer = ServiceAnswer(message) else {
            return done(.failure(NameFault("the answer about srv:\(name) is malformed")))
        }
        guard !answer.records.isEmpty else {
            return done(.failure(NameFault("srv:\(name) names no host")))
        }
        done(
            .success(
                NameAnswer(
                    content: .services(answer.records), ttlSeconds: answer.ttlSeconds)))
    }
}
