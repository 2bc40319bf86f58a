// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import Reactor

/// Where a running Sluice is asked and told when nothing else was said.
///
/// Servers take the first place that they may use, and commands look at all of them.
public enum AdminSocket {
    private static let name = "sluice.sock"
    private static let serviceFolder = "/run/sluice"
    private static var runtimeFolder: String? {
        ProcessInfo.processInfo.environment["XDG_RUNTIME_DIR"]
    }

    /// The folder that every user has: `/tmp/sluice-UID`, or the same below `TMPDIR`, mode 0700.
    public static var userFolder: String {
        let named = ProcessInfo.processInfo.environment["TMPDIR"] ?? ""
        return "\(named.hasPrefix("/") ? named : "/tmp")/sluice-\(geteuid())"
    }

    /// What is wrong with that folder, as the end of a sentence that begins with its path.
    public static var userFolderFault: String {
        var facts = stat()
        guard lstat(userFolder, &facts) == 0 else {
            _ = mkdir(userFolder, 0o700)
            return "can't be made: \(SystemError.text(of: errno))"
        }
        if facts.st_mode & S_IFMT != S_IFDIR { return "is no folder" }
        if facts.st_uid != geteuid() { return "belongs to another user" }
        return "may be entered by other users (chmod 700 it)"
    }

    /// The place of a process that begins to serve, whose folder is there afterwards; nil where there
    /// is none.
    public static func makePlace() -> String? {
        makePlace(
            runtimeFolder: runtimeFolder, serviceFolder: serviceFolder, userFolder: userFolder)
    }

    static func makePlace(
        runtimeFolder: String?, serviceFolder: String, userFolder: String
    ) -> String? {
        if let folder = writable(runtimeFolder, serviceFolder) { return "\(folder)/\(name)" }
        // Two that start at one moment may both make it.
        _ = mkdir(userFolder, 0o700)
        return isOwn(userFolder) ? "\(userFolder)/\(name)" : nil
    }

    /// The places where commands look, in their order.
    public static var places: [String] {
        places(runtimeFolder: runtimeFolder, serviceFolder: serviceFolder, userFolder: userFolder)
    }

    /// All places where a running Sluice may have its socket, also those that are not asked since nothing is there or
    /// somebody else has made their folder.
    public static var possiblePlaces: [String] {
        [runtimeFolder, serviceFolder, userFolder].compactMap { $0 }.filter { $0.hasPrefix("/") }
            .map { "\($0)/\(name)" }
    }

    /// Sockets at those places that are there and that this user may not open, with the user each belongs to.
    public static var forbidden: [(path: String, owner: String)] {
        possiblePlaces.compactMap { path in
            var facts = stat()
            guard lstat(path, &facts) == 0, facts.st_mode & S_IFMT == S_IFSOCK,
                access(path, W_OK) != 0, errno == EACCES
            else { return nil }
            let account = getpwuid(facts.st_uid).flatMap { $0.pointee.pw_name }
            return (path, account.map { String(cString: $0) } ?? "\(facts.st_uid)")
        }
    }

    static func places(
        runtimeFolder: String?, serviceFolder: String, userFolder: String
    ) -> [String] {
        var folders = [runtimeFolder, serviceFolder].compactMap { $0 }.filter { $0.hasPrefix("/") }
        // Whatever somebody else has put there is not asked.
        if isOwn(userFolder) { folders.append(userFolder) }
        return folders.map { "\($0)/\(name)" }
    }

    /// The places that are meant where none is named: that of a Sluice which is started in this environment, and that
    /// of the machine's service.
    ///
    /// At another of `places` is one that was started in another environment: somebody else's job of the same user.
    public static var usualPlaces: [String] {
        usualPlaces(
            runtimeFolder: runtimeFolder, serviceFolder: serviceFolder, userFolder: userFolder)
    }

    static func usualPlaces(
        runtimeFolder: String?, serviceFolder: String, userFolder: String
    ) -> [String] {
        let own = writable(runtimeFolder, serviceFolder) ?? userFolder
        return (own == serviceFolder ? [own] : [own, serviceFolder]).map { "\($0)/\(name)" }
    }

    /// The first of these folders in which this user may have a socket; nil where there is none.
    private static func writable(_ folders: String?...) -> String? {
        folders.compactMap { $0 }.first {
            $0.hasPrefix("/") && access($0, W_OK | X_OK) == 0
        }
    }

    /// The sockets of further processes of the user, beside the usual ones: `sluice-PID.sock`.
    public static func others(beside places: [String]) -> [String] {
        places.flatMap { place -> [String] in
            let folder = String(place.dropLast(name.count + 1))
            let files = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
            return files.filter { $0.hasPrefix("sluice-") && $0.hasSuffix(".sock") }.sorted()
                .map { "\(folder)/\($0)" }
        }
    }

    /// The place of a process that has found another one at `place`.
    public static func ownPlace(beside place: String, of process: Int32) -> String {
        place.dropLast(name.count) + "sluice-\(process).sock"
    }

    /// Removes the sockets that processes have left which were killed.
    public static func removeDead(beside place: String) {
        for file in others(beside: [place]) {
            guard let number = file.split(separator: "-").last?.dropLast(".sock".count),
                let process = Int32(number), kill(process, 0) != 0, errno == ESRCH
            else { continue }
            // After an upgrade the successor has the place of the process that is gone.
            if let address = try? Address(parsing: "unix:" + file), AdminClient.answers(address) {
                continue
            }
            // What is no socket is somebody's.
            SocketFile(file)?.remove()
        }
    }

    /// Whether a folder is this user's alone, and no link to another.
    private static func isOwn(_ folder: String) -> Bool {
        var facts = stat()
        return lstat(folder, &facts) == 0 && facts.st_mode & S_IFMT == S_IFDIR
            && facts.st_uid == geteuid() && facts.st_mode & 0o077 == 0
    }
}
