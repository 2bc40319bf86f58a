// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc

/// The folder that stands for `/`: an image, a tree to be packed, or the machine's own.
///
/// Links in it are followed as chroot(2) would follow them, so that an absolute target stays inside.
struct RootFolder {
    /// From `/` on, without a slash at its end; empty for the machine's own.
    let path: String

    /// As many as the kernel follows in one path (path_resolution(7)).
    private static let linksMax = 40

    var isOwn: Bool { path.isEmpty }

    /// Where a path from `/` on leads in this folder, as this machine names it.
    ///
    /// Parts that are not there stay as they are written.
    ///
    /// - Returns: nil where links lead round in a circle.
    func resolved(_ wanted: String) -> String? {
        if isOwn { return wanted }
        var left = Array(wanted.split(separator: "/").map(String.init).reversed())
        var done: [String] = []
        var links = 0
        while let part = left.popLast() {
            if part == "." { continue }
            if part == ".." {
                _ = done.popLast()
                continue
            }
            done.append(part)
            guard let target = Self.target("\(path)/\(done.joined(separator: "/"))") else {
                continue
            }
            links += 1
            if links > Self.linksMax { return nil }
            _ = done.popLast()
            if target.hasPrefix("/") { done = [] }
            left += target.split(separator: "/").map(String.init).reversed()
        }
        return ([path] + done).joined(separator: "/")
    }

    /// The same for what a path names itself, also where that is a link.
    func entry(_ wanted: String) -> String? {
        let whole = wanted as NSString
        return resolved(whole.deletingLastPathComponent).map {
            "\($0)/\(whole.lastPathComponent)"
        }
    }

    /// Whether a path leads to something in this folder.
    func exists(_ wanted: String) -> Bool {
        resolved(wanted).map { FileManager.default.fileExists(atPath: $0) } ?? false
    }

    /// What a link contains; nil for everything else.
    static func target(_ link: String) -> String? {
        var status = stat()
        guard lstat(link, &status) == 0, status.st_mode & S_IFMT == S_IFLNK else { return nil }
        return try? FileManager.default.destinationOfSymbolicLink(atPath: link)
    }
}

/// The links of a folder that a program of this machine is about to change, for an image in which they
/// lead elsewhere.
///
/// update-ca-certificates(8) writes the paths that it was given into its links, and takes out those that
/// lead nowhere on this machine.
struct ImageLinks {
    private let root: RootFolder
    /// As the image names it.
    private let folder: String
    private let before: [String: String]

    init(_ root: RootFolder, folder: String) {
        self.root = root
        self.folder = folder
        before = Self.links(root.resolved(folder))
    }

    private static func links(_ folder: String?) -> [String: String] {
        guard let folder else { return [:] }
        var links: [String: String] = [:]
        for name in (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? [] {
            links[name] = RootFolder.target("\(folder)/\(name)")
        }
        return links
    }

    /// Has new links lead to where the image has what they stand for, and puts back those that were taken
    /// out although they lead somewhere in the image.
    func mend() {
        guard let place = root.resolved(folder) else { return }
        let now = Self.links(place)
        for (name, target) in now where before[name] != target && target.hasPrefix(root.path + "/")
        {
            make("\(place)/\(name)", String(target.dropFirst(root.path.utf8.count)))
        }
        // One that leads to another of them comes behind that.
        var missing = before.filter { now[$0.key] == nil }
        while let (name, target) = missing.first(where: { isOfUse($0.value) }) {
            missing[name] = nil
            if !FileManager.default.fileExists(atPath: "\(place)/\(name)") {
                make("\(place)/\(name)", target)
            }
        }
    }

    /// Whether there is in the image what a link in this folder leads to.
    private func isOfUse(_ target: String) -> Bool {
        root.exists(target.hasPrefix("/") ? target : "\(folder)/\(target)")
    }

    private func make(_ link: String, _ target: String) {
        let files = FileManager.default
        try? files.removeItem(atPath: link)
        try? files.createSymbolicLink(atPath: link, withDestinationPath: target)
    }
}
