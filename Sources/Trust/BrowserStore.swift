// SPDX-License-Identifier: Apache-2.0
import Foundation

/// A database of Network Security Services, in which Chromium and Firefox look for authorities.
struct BrowserStore {
    let name: String
    let folder: String
    /// Made here if it is not there: the browser would make it at its first start.
    var isMadeWhenMissing = false

    /// What stands in a database that was made here, so that it can go again.
    private static let mark = "made-by-sluice"
    private static let hint =
        "certutil is missing: sudo apt install libnss3-tools (Debian), dnf install nss-tools"
        + " (Fedora), pacman -S nss (Arch); then run this again"

    /// The databases of the browsers of one home folder, wherever a package keeps them.
    static func all(home: String) -> [BrowserStore] {
        let chromium = [".pki/nssdb", ".local/share/pki/nssdb", "snap/chromium/current/.pki/nssdb"]
        var stores = chromium.map { BrowserStore(name: "Chromium", folder: "\(home)/\($0)") }
        for app in entries("\(home)/.var/app") {
            for place in [".pki/nssdb", "data/pki/nssdb"] {
                stores.append(
                    BrowserStore(name: "Chromium", folder: "\(home)/.var/app/\(app)/\(place)"))
            }
        }
        for place in [
            ".mozilla/firefox", ".config/mozilla/firefox",
            "snap/firefox/common/.mozilla/firefox",
            ".var/app/org.mozilla.firefox/.mozilla/firefox",
            ".var/app/org.mozilla.firefox/config/mozilla/firefox",
        ] {
            for profile in entries("\(home)/\(place)") {
                stores.append(
                    BrowserStore(name: "Firefox", folder: "\(home)/\(place)/\(profile)"))
            }
        }
        var present = stores.filter { $0.isThere || $0.isProfile }
        if !present.contains(where: { $0.name == "Chromium" }), hasChromium(home: home) {
            present.insert(
                BrowserStore(
                    name: "Chromium", folder: "\(home)/.pki/nssdb", isMadeWhenMissing: true),
                at: 0)
        }
        return present
    }

    private static func entries(_ folder: String) -> [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).sorted()
    }

    /// Whether a browser that uses the shared database is installed or was used.
    private static func hasChromium(home: String) -> Bool {
        let programs = [
            "chromium", "chromium-browser", "google-chrome", "google-chrome-stable",
            "brave-browser", "microsoft-edge", "vivaldi",
        ]
        let folders = ["chromium", "google-chrome", "BraveSoftware", "microsoft-edge", "vivaldi"]
        return programs.contains { Program.find($0) != nil }
            || folders.contains {
                FileManager.default.fileExists(atPath: "\(home)/.config/\($0)")
            }
    }

    private var isThere: Bool { FileManager.default.fileExists(atPath: "\(folder)/cert9.db") }
    /// A profile that has no database yet, or one of the old form.
    private var isProfile: Bool {
        ["prefs.js", "times.json", "cert8.db"].contains {
            FileManager.default.fileExists(atPath: "\(folder)/\($0)")
        }
    }
    private var database: String { "sql:\(folder)" }
    private var withoutDatabase: StoreReport {
        report(.leftAlone("it has no cert9.db yet; start that browser once"))
    }

    private func report(_ outcome: StoreReport.Outcome) -> StoreReport {
        StoreReport(owner: .browser(name), path: folder, outcome: outcome)
    }

    /// Runs certutil on this database.
    private func certutil(_ arguments: [String]) -> (status: Int32, output: String)? {
        guard let program = Program.find("certutil") else { return nil }
        return Program.run(program, arguments + ["-d", database])
    }

    /// A line of the database's list.
    private struct Entry {
        let nickname: String
        /// What it is trusted for: flags for servers, mail and code, as `C,,`.
        let flags: String

        /// Whether it is trusted to sign for servers.
        var isTrusted: Bool { flags.prefix { $0 != "," }.contains("C") }
    }

    /// Why a database that is there can't be read.
    private struct Unreadable: Error {
        let reason: String
    }

    private func entries() throws(Unreadable) -> [Entry] {
        guard isThere else { return [] }
        let list = certutil(["-L"])
        guard let list, list.status == 0 else {
            throw Unreadable(
                reason: "certutil can't read it: \(Program.lastLine(list?.output ?? ""))")
        }
        return list.output.split(whereSeparator: \.isNewline).compactMap { line in
            let line = line.trimmingCharacters(in: .whitespaces)
            guard let space = line.lastIndex(of: " ") else { return nil }
            let flags = line[line.index(after: space)...]
            // Not the headings.
            guard flags.filter({ $0 == "," }).count == 2, !flags.contains("/") else { return nil }
            let nickname = line[..<space].trimmingCharacters(in: .whitespaces)
            return Entry(nickname: nickname, flags: String(flags))
        }
    }

    /// Where the authority is, under whatever name: a database has each certificate once, and one that
    /// somebody imported by hand keeps the name that it got then.
    ///
    /// By a name that is not ours certutil shows all certificates of the same subject, so there may be
    /// several.
    private func places(of authority: Authority, among entries: [Entry]) -> [Entry] {
        if let entry = entries.first(where: { $0.nickname == authority.nickname }) {
            return [entry]
        }
        guard let wanted = PEM.certificate(authority.certificatePath).map(PEM.joined) else {
            return []
        }
        // What has the nickname of another authority of ours is that one, also where both have one subject.
        return entries.filter { entry in
            !Authority.isOwn(nickname: entry.nickname)
                && certificates(named: entry.nickname).contains(wanted)
        }
    }

    /// All certificates that certutil shows for a nickname, without their line ends.
    private func certificates(named nickname: String) -> [String] {
        guard let shown = certutil(["-L", "-a", "-n", nickname]), shown.status == 0 else {
            return []
        }
        let end = "-----END CERTIFICATE-----"
        return PEM.joined(shown.output).components(separatedBy: end)
            .filter { $0.contains("-----BEGIN") }.map { $0 + end }
    }

    private func isTrusted(_ authority: Authority) throws(Unreadable) -> Bool {
        let places = places(of: authority, among: try entries())
        return !places.isEmpty && places.allSatisfy(\.isTrusted)
    }

    func status(_ authority: Authority?) -> StoreReport {
        if !isThere && !isMadeWhenMissing { return withoutDatabase }
        // Nobody has to look into what is not there.
        if !isThere { return report(.absent) }
        guard Program.find("certutil") != nil else { return report(.needsTool(Self.hint)) }
        do throws(Unreadable) {
            // Without an authority it is read all the same: what is damaged says nothing.
            guard let authority else {
                _ = try entries()
                return report(.absent)
            }
            return report(try isTrusted(authority) ? .trusted : .absent)
        } catch {
            return report(.failed(error.reason))
        }
    }

    func trust(_ authority: Authority) -> StoreReport {
        if !isThere && !isMadeWhenMissing { return withoutDatabase }
        guard Program.find("certutil") != nil else { return report(.needsTool(Self.hint)) }
        do throws(Unreadable) {
            return try add(authority)
        } catch {
            return report(.failed(error.reason))
        }
    }

    /// What stands beside `cert9.db`, and what older browsers had in its place.
    private static let otherFiles = [
        "key4.db", "key4.db-journal", "pkcs11.txt", "key3.db", "cert8.db",
    ]

    private func add(_ authority: Authority) throws(Unreadable) -> StoreReport {
        if try isTrusted(authority) { return report(.trusted) }
        if !isThere {
            // certutil would ask for the password of the others, and a key may be among them.
            if let other = Self.otherFiles.first(where: {
                FileManager.default.fileExists(atPath: "\(folder)/\($0)")
            }) {
                return report(
                    .failed(
                        "\(other) is there and cert9.db is not: end that browser, move the folder \(folder)"
                            + " away, and run this again"))
            }
            do {
                try FileManager.default.createDirectory(
                    atPath: folder, withIntermediateDirectories: true,
                    attributes: [.posixPermissions: 0o700])
            } catch {
                return report(.failed("making it: \(FileTrouble.reason(error))"))
            }
            let made = certutil(["-N", "--empty-password"])
            guard let made, made.status == 0 else {
                // Half a database would be in the way of the next try, and of the browser.
                // None of it was there before.
                for name in ["cert9.db", "cert9.db-journal"] + Self.otherFiles {
                    try? FileManager.default.removeItem(atPath: "\(folder)/\(name)")
                }
                let said = Program.lastLine(made?.output ?? "")
                return report(
                    .failed(
                        "certutil could not make the database in \(folder)"
                            + (said.isEmpty ? "" : " (\(said))")
                            + "; see whether its disk is full, and who may write there"))
            }
            _ = FileManager.default.createFile(atPath: "\(folder)/\(Self.mark)", contents: nil)
        }
        let added = certutil(
            ["-A", "-n", authority.nickname, "-t", "C,,", "-i", authority.certificatePath])
        guard let added, added.status == 0 else {
            let fault = CertutilFault(added?.output ?? "")
            // It may have gone in without its flags.
            if try entries().contains(where: { $0.nickname == authority.nickname }) {
                _ = certutil(["-D", "-n", authority.nickname])
            }
            switch fault {
            case .other(let reason): return report(.failed(reason))
            case .wantsPassword:
                return report(
                    .failed(
                        "it has a primary password; do it by hand: certutil -A -d"
                            + " \(Shell.word(database)) -n '\(authority.nickname)' -t C,, -i"
                            + " \(Shell.word(authority.certificatePath))"))
            }
        }
        return report(try isTrusted(authority) ? .added : .failed("certutil added it in vain"))
    }

    /// Takes the authority out, or all of ours, and the database if it was made here and is empty.
    func untrust(_ authority: Authority?, all: Bool) -> StoreReport {
        if !isThere && !isMadeWhenMissing { return withoutDatabase }
        guard Program.find("certutil") != nil else { return report(.needsTool(Self.hint)) }
        do throws(Unreadable) {
            return try remove(authority, all: all)
        } catch {
            return report(.failed(error.reason))
        }
    }

    private func remove(_ authority: Authority?, all: Bool) throws(Unreadable) -> StoreReport {
        let entries = try entries()
        let ours = entries.filter { $0.nickname.hasPrefix(Authority.nicknamePrefix) }
        if authority == nil, !all, ours.count > 1 {
            return report(.leftAlone(Authority.several(ours.map(\.nickname))))
        }
        var hasRemoved = false
        if all || authority == nil {
            for entry in ours {
                guard delete(entry.nickname) else { return undeletable(entry.nickname) }
                hasRemoved = true
            }
        }
        if let authority {
            let places = places(of: authority, among: try self.entries())
            for entry in places {
                let isOwn = entry.nickname == authority.nickname
                // By a name that somebody gave, certutil can't tell which of several it deletes.
                guard isOwn || certificates(named: entry.nickname).count == 1 else {
                    return report(
                        .leftAlone(
                            "several certificates with its subject are there; delete it by hand:"
                                + " certutil -D -d \(Shell.word(database)) -n"
                                + " \(Shell.word(entry.nickname))"))
                }
                guard delete(entry.nickname) else { return undeletable(entry.nickname) }
                hasRemoved = true
            }
        }
        removeIfOurs()
        return report(hasRemoved ? .removed : .absent)
    }

    private func delete(_ nickname: String) -> Bool {
        certutil(["-D", "-n", nickname])?.status == 0
    }

    private func undeletable(_ nickname: String) -> StoreReport {
        report(.failed("certutil could not delete \(nickname)"))
    }

    private func removeIfOurs() {
        let files = FileManager.default
        guard files.fileExists(atPath: "\(folder)/\(Self.mark)"), let list = certutil(["-L"]),
            list.status == 0
        else { return }
        // Two lines of headings, and nothing behind them.
        let lines = list.output.split(whereSeparator: \.isNewline).filter {
            !$0.hasPrefix("Certificate Nickname")
                && !$0.trimmingCharacters(in: .whitespaces)
                    .hasPrefix("SSL,S/MIME")
        }
        // A key without a certificate is somebody's all the same.
        guard lines.isEmpty, let keys = certutil(["-K"]),
            CertutilKeys(status: keys.status, output: keys.output) == .none
        else { return }
        for file in ["cert9.db", "key4.db", "pkcs11.txt", Self.mark] {
            try? files.removeItem(atPath: "\(folder)/\(file)")
        }
        // Up to the home folder, as far as nothing else is there.
        _ = rmdir(folder)
        _ = rmdir((folder as NSString).deletingLastPathComponent)
    }
}

/// Why certutil did not do it, as far as it can be read from what it printed: its exit status is the same
/// for everything.
enum CertutilFault: Equatable {
    /// The database has a primary password (`SEC_ERROR_BAD_PASSWORD`).
    case wantsPassword
    /// Anything else, in certutil's words.
    case other(String)

    init(_ output: String) {
        let line = Program.lastLine(output)
        if line.contains("SEC_ERROR_BAD_PASSWORD") {
            self = .wantsPassword
        } else if line.contains("SEC_ERROR_BAD_DATABASE") {
            self = .other(
                "the cert9.db there is damaged (SEC_ERROR_BAD_DATABASE): end that browser, move the whole folder"
                    + " away, and run this again")
        } else {
            self = .other(line)
        }
    }
}

/// Whether a database holds private keys, as `certutil -K` tells it.
enum CertutilKeys: Equatable {
    /// It lists some.
    case some
    /// It says that there are none.
    case none
    /// It could not look: the database is damaged, or has a password.
    case unknown

    /// Its exit status is 0 where it has listed keys, and one and the same where there are none and where it
    /// could not look, so these two are told apart by a line; any other line means that nothing is known.
    init(status: Int32, output: String) {
        let lines = output.split(whereSeparator: \.isNewline)
        if status == 0 {
            self = .some
        } else {
            self = lines.last == "certutil: no keys found" ? .none : .unknown
        }
    }
}
