// SPDX-License-Identifier: Apache-2.0
import Admin
import Config
import Doctor
import Foundation
import Glibc
import Ledger
import Reactor
import Service
import TLS
import Trust

extension RunningSluice {
    /// Whether the last reload worked, and whether the next one would.
    mutating func look(atConfiguration state: AdminState) {
        let configuration = state.configuration
        guard !configuration.file.isEmpty else {
            add("configuration", "quick mode", .good, "of the command line")
            return
        }
        let path = Self.path(configuration.file, of: state.pid)
        // Others can't read its keys, so they can't tell.
        if isOwn(state.pid), FileManager.default.isReadableFile(atPath: path) {
            do {
                _ = try Assembly(Configuration.load(path: path))
            } catch {
                add(
                    "configuration", configuration.file, .fault,
                    "as the file stands now, it can't be taken up: \(error)",
                    "Correct it and do: \(command("reload")). Until then the one before is in use.")
                return
            }
            // A file that has changed since the reload failed does not undo that: another is in use.
            if configuration.lastProblem == nil, let changed = Self.changed(path),
                let loaded = Self.date(configuration.loaded),
                changed > loaded.addingTimeInterval(1)
            {
                add(
                    "configuration", configuration.file, .note,
                    "the file changed after it was read", "\(command("reload")) takes it up.")
                return
            }
        }
        if let waiting = configuration.waitingSentence {
            add(
                "configuration", configuration.file, .note, waiting,
                "\(command("upgrade")) starts a process that takes it up.")
        }
        if let problem = configuration.lastProblem {
            add(
                "configuration", configuration.file, .fault, "the last reload failed: \(problem)",
                "\(command("reload")), now that the cause is gone.")
            return
        }
        add(
            "configuration", configuration.file, .good,
            "generation \(configuration.generation) of \(configuration.loaded)")
    }

    /// A file as the process names it, which may stand in another folder.
    ///
    /// By the folder's name, which people know; where that leads elsewhere, since the process has other
    /// mounts or its folder was moved, by the kernel's link to it.
    private static func path(_ file: String, of pid: Int32) -> String {
        if file.hasPrefix("/") { return file }
        let linked = "/proc/\(pid)/cwd/\(file)"
        guard
            let folder = try? FileManager.default
                .destinationOfSymbolicLink(atPath: "/proc/\(pid)/cwd")
        else { return linked }
        let named = folder + "/" + file
        var (one, other) = (stat(), stat())
        let isSame =
            stat(linked, &one) == 0 && stat(named, &other) == 0 && one.st_dev == other.st_dev
            && one.st_ino == other.st_ino
        return isSame ? named : linked
    }

    /// Whether this user may read all that the process may.
    private func isOwn(_ pid: Int32) -> Bool {
        var status = stat()
        return geteuid() == 0 || stat("/proc/\(pid)", &status) == 0 && status.st_uid == geteuid()
    }

    private static func changed(_ path: String) -> Date? {
        let attributes = try? FileManager.default.attributesOfItem(atPath: path)
        return attributes?[.modificationDate] as? Date
    }

    private static func date(_ text: String) -> Date? { try? Date(text, strategy: .iso8601) }

    /// Whether it answers, and with the certificates that it should have.
    ///
    /// - Parameters:
    ///   - listener: what the process says of it.
    ///   - pid: the process.
    ///   - isFull: whether new connections wait: then a handshake has no answer, and is not tried.
    mutating func look(at listener: ListenerState, of pid: Int32, isFull: Bool) {
        let name = listener.address
        guard let address = Self.reachable(listener.address) else { return }
        if let failure = Knock.failure(address, withinMilliseconds: 2_000) {
            add(
                "listener", name, .fault, "it takes no connections: \(failure)",
                "See the log; a packet filter may stand before it.")
            return
        }
        if isFull {
            add(
                "listener", name, .note,
                "connections wait in its queue\(Self.spoken(listener)), so it was asked nothing")
        } else if listener.expectsProxyHeader == true {
            add(
                "listener", name, .good,
                "takes connections\(Self.spoken(listener)), with the PROXY protocol in front")
        } else if listener.certificates.isEmpty, name.hasPrefix("wss://") {
            add(
                "listener", name, .fault, "the process can't read its certificates any more",
                "Put the files back where the configuration has them; the next reload would fail.")
        } else if listener.certificates.isEmpty {
            add("listener", name, .good, "takes connections\(Self.spoken(listener)), without TLS")
        } else {
            shakeHands(listener, at: address, of: pid)
        }
        for certificate in listener.certificates
        where !findings.contains(where: { $0.name == certificate.chain }) {
            look(at: certificate, of: pid)
        }
    }

    /// A listener's address as one can connect to it from here; nil where it is none.
    private static func reachable(_ text: String) -> Address? {
        guard let mark = text.range(of: "://"),
            let address = try? Address(parsing: String(text[mark.upperBound...]))
        else { return nil }
        if address.isUnix { return address }
        switch address.hostString {
        case "0.0.0.0": return Address.loopback(port: address.port, isIPv6: false)
        case "::": return Address.loopback(port: address.port, isIPv6: true)
        default: return address
        }
    }

    /// Whether what is served for each certificate's name is what its file holds.
    private mutating func shakeHands(
        _ listener: ListenerState, at address: Address, of pid: Int32
    ) {
        let name = listener.address
        guard !address.isUnix else {
            add("listener", name, .good, "takes connections\(Self.spoken(listener))")
            return
        }
        let files = listener.certificates.compactMap {
            try? CertificateFacts.readLeaf(chain: Self.path($0.chain, of: pid)).fingerprint
        }
        var version = ""
        for certificate in listener.certificates {
            guard let first = certificate.names.first else { continue }
            // A name that the star stands for.
            let host = first.hasPrefix("*") ? "any" + first.dropFirst() : first
            var options = DoctorCommand.baseOptions
            options.timeoutSeconds = 5
            options.addresses = [host: [address.hostString]]
            let text = host.contains(":") ? "[\(host)]" : host
            guard let url = SocketURL("wss://\(text):\(address.port)/"),
                let outcome = try? Doctor.present(url, options)
            else { continue }
            switch outcome {
            case .failure(let fault):
                add("listener", name, .fault, "\(fault)", "See the log.")
                return
            case .success(let presented):
                version = presented.version
                // Files that can't be read from here can't be compared.
                guard files.count == listener.certificates.count else { continue }
                guard let leaf = presented.chain.first, files.contains(leaf.fingerprint) else {
                    add(
                        "listener", name, .fault,
                        "for \(host) it serves another certificate than \(certificate.chain) holds",
                        "The file was replaced after it was read: \(command("reload")).")
                    return
                }
            }
        }
        add("listener", name, .good, "takes connections\(Self.spoken(listener)), \(version)")
    }

    /// The protocols of a listener as `sluice status` names them, behind a comma; empty for an older process, which does
    /// not say.
    private static func spoken(_ listener: ListenerState) -> String {
        guard let protocols = listener.protocols, !protocols.isEmpty else { return "" }
        return ", \(protocols.joined(separator: " and "))"
    }

    /// The authority in the folder of a chain, or in the user's own; nil where there is none that can be read.
    private static func authority(of chain: String, isBeside: Bool) -> CertificateFacts? {
        var folder = DataDirectory.path
        if isBeside {
            let real = TrustStores.resolved(chain) ?? chain
            folder = (real as NSString).deletingLastPathComponent
        }
        return try? CertificateFacts.read(pemFile: folder + "/ca.pem")
    }

    private mutating func look(at certificate: CertificateState, of pid: Int32) {
        let name = certificate.chain
        let names = certificate.names.joined(separator: ", ")
        guard let term = CertificateText.term(certificate) else { return }
        let now = Int64(time(nil))
        let days = term.daysLeft(at: now)
        let path = Self.path(certificate.chain, of: pid)
        let facts = try? CertificateFacts.readLeaf(chain: path)
        let isOfSluice = facts?.issuer.contains("Sluice development CA") == true
        let place = isOfSluice ? CertPlace.option(forChain: path) : ""
        // The one beside the certificate, or the user's own: another may have signed it.
        let isOurs =
            isOfSluice
            && Self.authority(of: path, isBeside: !place.isEmpty)?.subject == facts?.issuer
        let renew =
            isOurs
            ? "sluice cert renew\(place), then \(command("reload"))."
            : "Renew it where it came from, put it there, then \(command("reload"))."
        let condition = term.condition(at: now)
        if condition == .expired {
            add("certificate", name, .fault, "for \(names): its time is over", renew)
        } else if condition == .notYetValid {
            add(
                "certificate", name, .fault,
                "for \(names): it is not valid before \(CertCommand.date(term.notBefore))",
                "Set this machine's clock right, or wait.")
        } else if condition == .endsSoon {
            add(
                "certificate", name, .fault, "for \(names): its time is over \(term.wait(at: now))",
                renew)
        } else if isOurs {
            add(
                "certificate", name, .good,
                "for \(names), \(Count.words(days, "day")) left, by the local authority (sluice cert"
                    + " status\(place) says who trusts it)")
        } else if isOfSluice {
            add(
                "certificate", name, .note,
                "for \(names), \(Count.words(days, "day")) left, by another authority of Sluice's"
                    + " (\(facts?.issuer ?? "")), whose folder is not known here",
                "sluice cert status --directory DIR, with the folder of its ca.pem, says who trusts it."
            )
        } else {
            add("certificate", name, .good, "for \(names), \(Count.words(days, "day")) left")
        }
    }
}
