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

    // What update-ca-certificates(8) reads and writes beside the anchors.
    private static let debianProgram = "update-ca-certificates"
    private static let debianCertificates = "/usr/share/ca-certificates"
    private static let debianList = "/etc/ca-certificates.conf"
    private static let debianLinks = "/etc/ssl/certs"

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
            anchors: "/usr/local/share/ca-certificates", command: [debianProgram],
            bundle: "/etc/ssl/certs/ca-certificates.crt"),
    ]

    let root: RootFolder
    /// The authority; nil where there is none, which can only be forgotten.
    let authority: Authority?
    private var authorityPath: String? { authority?.certificatePath }

    private var files: FileManager { FileManager.default }

    /// The layout that this system has: the one whose folder of anchors is there.
    private var layout: Layout? {
        Self.layouts.first { root.exists($0.anchors) || isDangling($0.anchors) }
    }

    /// Where a path of the system is, seen from this machine.
    private func place(_ path: String) -> String { root.resolved(path) ?? root.path + path }

    /// The file with all authorities that programs read, where there is one.
    var bundlePath: String? { layout.map { place($0.bundle) } }

    /// The authority's file and that with all authorities as programs in the image name them; nil for the machine's own
    /// root, and where the authority is in no file.
    var pathsInImage: (authority: String, bundle: String)? {
        guard !root.isOwn, let layout,
            let wanted = authorityPath.flatMap(PEM.certificate).map(PEM.joined)
        else { return nil }
        let names = (try? files.contentsOfDirectory(atPath: place(layout.anchors))) ?? []
        let own = names.sorted().first {
            PEM.certificate(place("\(layout.anchors)/\($0)")).map(PEM.joined) == wanted
        }
        return own.map { ("\(layout.anchors)/\($0)", layout.bundle) }
    }

    /// A file for each authority, so that a second one does not take the place of the first.
    private func target(_ layout: Layout, _ authority: Authority) -> String {
        place(layout.anchors) + "/sluice-ca-\(authority.mark).crt"
    }

    /// The files that are Sluice's, also the one that older versions wrote.
    private func ownFiles(_ layout: Layout) -> [String] {
        let folder = place(layout.anchors)
        let names = (try? files.contentsOfDirectory(atPath: folder)) ?? []
        return names.sorted().filter {
            $0 == "sluice-ca.crt" || $0.hasPrefix("sluice-ca-") && $0.hasSuffix(".crt")
        }.map { folder + "/" + $0 }
    }

    /// Those of them that hold this authority.
    private func ownFiles(_ layout: Layout, of authority: Authority) -> [String] {
        guard let wanted = PEM.certificate(authority.certificatePath).map(PEM.joined) else {
            return []
        }
        return ownFiles(layout).filter { file in
            PEM.certificate(place(layout.anchors + "/" + (file as NSString).lastPathComponent))
                .map(PEM.joined) == wanted
        }
    }

    /// What would be read or changed outside of the folder that stands for `/`, since a link leads there;
    /// nil where nothing is.
    private func wayOut(_ layout: Layout) -> String? {
        if root.isOwn { return nil }
        let bundleFolder = (layout.bundle as NSString).deletingLastPathComponent
        let used = [layout.anchors, bundleFolder, Self.debianCertificates, Self.debianList]
        if let path = used.first(where: isDangling) { return root.path + path }
        // Others are entered by chroot. This one's program runs here, and follows what it finds in these
        // folders as this machine does.
        guard layout.command[0] == Self.debianProgram else { return nil }
        let list = PEM.text(place(Self.debianList)) ?? ""
        let listed = list.split(whereSeparator: \.isNewline)
            .filter { !$0.hasPrefix("#") && !$0.hasPrefix("!") }
            .map { "\(Self.debianCertificates)/\($0)" }
        // What is written there takes the place of a link.
        let own = authority.map { (target(layout, $0) as NSString).lastPathComponent }
        let anchors = (files.subpaths(atPath: place(layout.anchors)) ?? []).filter { $0 != own }
            .map { "\(layout.anchors)/\($0)" }
        // Their folders are given to it resolved, so only what lies below them counts.
        return ([layout.bundle + ".new"] + anchors + listed).first { path in
            let entry = root.entry(path) ?? root.path + path
            return RootFolder.target(entry) != nil
                && TrustStores.resolved(entry) != TrustStores.resolved(place(path))
        }.map { root.path + $0 }
    }

    /// Whether a link leads to what is not there, seen from within the folder that stands for `/`.
    private func isDangling(_ path: String) -> Bool {
        guard !root.isOwn, let entry = root.entry(path) else { return false }
        return RootFolder.target(entry) != nil && !root.exists(path)
    }

    private func leading(_ path: String) -> StoreReport.Outcome {
        .failed("\(path) is a link that leads out of \(root.path); nothing was changed")
    }

    private func report(_ layout: Layout?, _ outcome: StoreReport.Outcome) -> StoreReport {
        StoreReport(
            owner: .system, path: root.path + (layout?.anchors ?? "/"), outcome: outcome)
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
            let bundle = PEM.text(place(layout.bundle))
        else { return false }
        // The list may be older than the files that it is made of.
        let names = (try? files.contentsOfDirectory(atPath: place(layout.anchors))) ?? []
        let isHeld = names.contains {
            PEM.certificate(place("\(layout.anchors)/\($0)")).map(PEM.joined) == certificate
        }
        return isHeld && PEM.joined(bundle).contains(certificate)
    }

    /// The file that the authority is trusted by, for who has to take it out.
    private func otherFile(_ layout: Layout) -> String {
        let certificate = authorityPath.flatMap(PEM.certificate).map(PEM.joined)
        let names = (try? files.contentsOfDirectory(atPath: place(layout.anchors))) ?? []
        let holder = names.sorted().first {
            PEM.certificate(place("\(layout.anchors)/\($0)")).map(PEM.joined) == certificate
        }
        return holder.map { place("\(layout.anchors)/\($0)") } ?? "another file"
    }

    /// Puts the authority there, or says how root does.
    func trust() -> StoreReport {
        guard let layout, let authority else { return unknown }
        if let path = wayOut(layout) { return report(layout, leading(path)) }
        if isTrusted(layout) { return report(layout, .trusted) }
        let authorityPath = authority.certificatePath
        let target = target(layout, authority)
        guard files.isWritableFile(atPath: place(layout.anchors)) else {
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
            return report(layout, .failed("writing \(target): \(FileTrouble.reason(error))"))
        }
        if let reason = update(layout) {
            // Half trusted would be neither.
            try? files.removeItem(atPath: target)
            return report(layout, .failed(reason))
        }
        guard isTrusted(layout) else {
            return report(layout, .failed("it is not in \(place(layout.bundle)) after that"))
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
                .stillTrusted(
                    "\(otherFile(layout)) holds it, which Sluice did not put there; take that out, and run"
                        + " \(layout.command.joined(separator: " "))"))
        }
        if let path = wayOut(layout) { return report(layout, leading(path)) }
        guard files.isWritableFile(atPath: place(layout.anchors)) else {
            return report(
                layout, .needsRoot(asRoot(["rm"] + targets, updateCommand(layout, fresh: true))))
        }
        for target in targets {
            do {
                try files.removeItem(atPath: target)
            } catch {
                return report(
                    layout, .failed("removing \(target): \(FileTrouble.reason(error))"))
            }
        }
        if let reason = update(layout, fresh: true) { return report(layout, .failed(reason)) }
        return report(layout, .removed)
    }

    /// What has the system make its bundle anew.
    private func updateCommand(_ layout: Layout, fresh: Bool = false) -> [String] {
        var words = layout.command
        if words[0] == Self.debianProgram {
            // Without it a link to what was removed would stay.
            if fresh { words.append("--fresh") }
            if !root.isOwn {
                words += [
                    "--certsdir", place(Self.debianCertificates),
                    "--certsconf", place(Self.debianList),
                    "--localcertsdir", place(layout.anchors),
                    "--etccertsdir", place(Self.debianLinks),
                    // Those of the image would run here and change this machine's files.
                    "--hooksdir", "/dev/null",
                ]
            }
        } else if !root.isOwn {
            // It knows no other root than its own.
            words = ["chroot", root.path] + words
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
        let links =
            name == Self.debianProgram && !root.isOwn
            ? ImageLinks(root, folder: Self.debianLinks) : nil
        let (status, output) = Program.run(program, Array(words.dropFirst()))
        links?.mend()
        if status == 0 { return nil }
        let place = root.isOwn ? "" : " in \(root.path)"
        return "\(name)\(place): \(Program.lastLine(output))"
    }
}
