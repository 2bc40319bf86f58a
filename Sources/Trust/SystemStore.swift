// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc

/// The system's store, which curl, Python, Go and most programs use; not the browsers.
struct SystemStore {
    /// A way in which a family of distributions keeps it.
    struct Layout: Sendable {
        /// Below which a file with a certificate is trusted.
        let anchors: String
        /// What makes it so, with the arguments for the real root.
        let command: [String]
        /// The file that programs read in the end.
        let bundle: String
    }

    /// Those of Fedora, Arch and Debian, by their manual pages: update-ca-trust(8) of both, and
    /// update-ca-certificates(8).
    static let layouts = [
        Layout(
            anchors: "/etc/pki/ca-trust/source/anchors", command: ["update-ca-trust", "extract"],
            bundle: "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem"),
        Layout(
            anchors: "/etc/ca-certificates/trust-source/anchors",
            command: ["update-ca-trust", "extract"],
            bundle: "/etc/ca-certificates/extracted/tls-ca-bundle.pem"),
        Layout(
            anchors: "/usr/local/share/ca-certificates", command: ["update-ca-certificates"],
            bundle: "/etc/ssl/certs/ca-certificates.crt"),
    ]

    let root: String
    /// The authority; nil where there is none, which can only be forgotten.
    let authority: Authority?
    private var authorityPath: String? { authority?.certificatePath }

    private var files: FileManager { FileManager.default }

    /// The layout that this system has: the one whose folder of anchors is there.
    private var layout: Layout? {
        Self.layouts.first { files.fileExists(atPath: root + $0.anchors) }
    }

    /// The file with all authorities that programs read, where there is one.
    var bundlePath: String? { layout.map { root + $0.bundle } }

    /// A file for each authority, so that a second one does not take the place of the first.
    private func target(_ layout: Layout, _ authority: Authority) -> String {
        root + layout.anchors + "/sluice-ca-\(authority.mark).crt"
    }

    /// The files that are Sluice's, also the one that older versions wrote.
    private func ownFiles(_ layout: Layout) -> [String] {
        let names = (try? files.contentsOfDirectory(atPath: root + layout.anchors)) ?? []
        return names.sorted().filter {
            $0 == "sluice-ca.crt" || $0.hasPrefix("sluice-ca-") && $0.hasSuffix(".crt")
        }.map { root + layout.anchors + "/" + $0 }
    }

    /// Those of them that hold this authority.
    private func ownFiles(_ layout: Layout, of authority: Authority) -> [String] {
        guard let wanted = PEM.certificate(authority.certificatePath).map(PEM.joined) else {
            return []
        }
        return ownFiles(layout).filter { PEM.certificate($0).map(PEM.joined) == wanted }
    }

    /// What would be changed outside of the folder that stands for `/`, since a link leads there; nil
    /// where nothing is.
    private func wayOut(_ layout: Layout) -> String? {
        if root.isEmpty { return nil }
        let bundleFolder = (layout.bundle as NSString).deletingLastPathComponent
        // By a folder of extracted lists above it chroot changes nothing outside.
        let changed = [
            layout.anchors, bundleFolder, layout.bundle + ".new", "/usr/share/ca-certificates",
            "/etc/ca-certificates.conf",
        ]
        let realRoot = TrustStores.resolved(root) ?? root
        return changed.map { root + $0 }.first { path in
            var status = stat()
            guard lstat(path, &status) == 0 else { return false }
            guard let real = TrustStores.resolved(path) else { return true }
            return !real.hasPrefix(realRoot + "/")
        }
    }

    private func leading(_ path: String) -> StoreReport.Outcome {
        .failed("\(path) is a link that leads out of \(root); nothing was changed")
    }

    private func report(_ layout: Layout?, _ outcome: StoreReport.Outcome) -> StoreReport {
        StoreReport(
            owner: .system, path: layout.map { root + $0.anchors } ?? root + "/", outcome: outcome)
    }

    private var unknown: StoreReport {
        report(
            nil,
            .failed(
                "no store of a known layout is there; install ca-certificates, or give programs"
                    + " the file itself: \(authorityPath ?? "ca.pem")"))
    }

    /// Whether programs believe the authority.
    func status() -> StoreReport {
        guard let layout else { return unknown }
        return report(layout, isTrusted(layout) ? .trusted : .absent)
    }

    private func isTrusted(_ layout: Layout) -> Bool {
        guard let certificate = authorityPath.flatMap(PEM.certificate).map(PEM.joined),
            let bundle = files.contents(atPath: root + layout.bundle)
        else { return false }
        // The list may be older than the files that it is made of.
        let folder = root + layout.anchors
        let isHeld = ((try? files.contentsOfDirectory(atPath: folder)) ?? []).contains {
            PEM.certificate("\(folder)/\($0)").map(PEM.joined) == certificate
        }
        return isHeld && PEM.joined(String(decoding: bundle, as: UTF8.self)).contains(certificate)
    }

    /// Puts the authority there, or says how root does.
    func trust() -> StoreReport {
        guard let layout, let authority else { return unknown }
        if let path = wayOut(layout) { return report(layout, leading(path)) }
        if isTrusted(layout) { return report(layout, .trusted) }
        let authorityPath = authority.certificatePath
        let target = target(layout, authority)
        guard files.isWritableFile(atPath: root + layout.anchors) else {
            return report(
                layout, .needsRoot(asRoot(["cp", authorityPath, target], updateCommand(layout))))
        }
        // Not the file as it is: root may read more than who has written it.
        guard let certificate = PEM.certificate(authorityPath) else {
            return report(layout, .failed("\(authorityPath) is not the PEM form of a certificate"))
        }
        do {
            try Data(certificate.utf8).write(to: URL(fileURLWithPath: target), options: .atomic)
            try files.setAttributes([.posixPermissions: 0o644], ofItemAtPath: target)
        } catch {
            return report(layout, .failed("writing \(target): \(error.localizedDescription)"))
        }
        if let reason = update(layout) {
            // Half trusted would be neither.
            try? files.removeItem(atPath: target)
            return report(layout, .failed(reason))
        }
        guard isTrusted(layout) else {
            return report(layout, .failed("it is not in \(root + layout.bundle) after that"))
        }
        return report(layout, .added)
    }

    /// Takes it out, or says how root does; `all` means every authority of Sluice's.
    func untrust(all: Bool) -> StoreReport {
        guard let layout else { return report(nil, .absent) }
        let targets =
            all || authority == nil
            ? ownFiles(layout) : authority.map { ownFiles(layout, of: $0) } ?? []
        if authority == nil, !all, targets.count > 1 {
            let names = targets.map { ($0 as NSString).lastPathComponent }
            return report(layout, .leftAlone(Authority.several(names)))
        }
        if targets.isEmpty {
            guard isTrusted(layout) else { return report(layout, .absent) }
            return report(
                layout,
                .leftAlone(
                    "it is trusted there by a file that is not Sluice's; take that out, and run"
                        + " \(layout.command.joined(separator: " "))"))
        }
        if let path = wayOut(layout) { return report(layout, leading(path)) }
        guard files.isWritableFile(atPath: root + layout.anchors) else {
            return report(
                layout, .needsRoot(asRoot(["rm"] + targets, updateCommand(layout, fresh: true))))
        }
        for target in targets {
            do {
                try files.removeItem(atPath: target)
            } catch {
                return report(
                    layout, .failed("removing \(target): \(error.localizedDescription)"))
            }
        }
        if let reason = update(layout, fresh: true) { return report(layout, .failed(reason)) }
        return report(layout, .removed)
    }

    /// What has the system make its bundle anew.
    private func updateCommand(_ layout: Layout, fresh: Bool = false) -> [String] {
        var words = layout.command
        if words[0] == "update-ca-certificates" {
            // Without it a link to what was removed would stay.
            if fresh { words.append("--fresh") }
            if !root.isEmpty {
                words += [
                    "--certsdir", root + "/usr/share/ca-certificates",
                    "--certsconf", root + "/etc/ca-certificates.conf",
                    "--localcertsdir", root + layout.anchors,
                    "--etccertsdir", root + "/etc/ssl/certs",
                    // Those of the image would run here and change this machine's files.
                    "--hooksdir", "/dev/null",
                ]
            }
        } else if !root.isEmpty {
            // It knows no other root than its own.
            words = ["chroot", root] + words
        }
        return words
    }

    /// Commands for root, one after the other.
    private func asRoot(_ commands: [String]...) -> String {
        commands.map { "sudo " + Shell.line($0) }.joined(separator: " && ")
    }

    /// Lets the system make its bundle anew.
    ///
    /// - Returns: why that failed.
    private func update(_ layout: Layout, fresh: Bool = false) -> String? {
        let name = layout.command[0]
        let words = updateCommand(layout, fresh: fresh)
        guard let program = Program.find(words[0]) else { return "\(words[0]) is missing" }
        let (status, output) = Program.run(program, Array(words.dropFirst()))
        if status == 0 { return nil }
        let place = root.isEmpty ? "" : " in \(root)"
        return "\(name)\(place): \(Program.lastLine(output))"
    }
}
