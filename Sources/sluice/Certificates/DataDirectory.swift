// SPDX-License-Identifier: Apache-2.0
import Glibc

/// The user's directory for what Sluice makes by itself: the local authority and its certificates.
enum DataDirectory {
    /// `$XDG_DATA_HOME/sluice`, or `~/.local/share/sluice` where that is not set.
    static var path: String {
        path(dataHome: variable("XDG_DATA_HOME"), home: home)
    }

    /// The user's home directory.
    static var home: String? { variable("HOME") ?? accountHome }

    /// A relative `XDG_DATA_HOME` does not count, as the XDG Base Directory Specification asks.
    static func path(dataHome: String?, home: String?) -> String {
        if let dataHome, dataHome.hasPrefix("/") { return dataHome + "/sluice" }
        return (home ?? "") + "/.local/share/sluice"
    }

    /// The directory, where this user can have one.
    ///
    /// - Parameter option: what does without it.
    /// - Returns: its path.
    /// - Throws: `Complaint` where there is no home folder, and none can be made, as for the user nobody.
    static func usable(orGive option: String) throws -> String {
        if variable("XDG_DATA_HOME")?.hasPrefix("/") == true { return path }
        guard let home, canBe(home) else {
            let user = getpwuid(geteuid()).flatMap { $0.pointee.pw_name }.map {
                String(cString: $0)
            }
            throw Complaint(
                "The user \(user ?? String(geteuid())) has no home folder (\(home ?? "none is named")) in which"
                    + " Sluice could keep its authority and certificates: set HOME or XDG_DATA_HOME to a"
                    + " folder of this user's, or give \(option).")
        }
        return path
    }

    /// Whether a folder is there, or can be made.
    static func canBe(_ folder: String) -> Bool {
        var part = folder[...]
        while part.count > 1, access(String(part), F_OK) != 0 {
            part = part[..<(part.lastIndex(of: "/") ?? part.startIndex)]
        }
        let nearest = part.isEmpty ? "/" : String(part)
        var status = stat()
        guard stat(nearest, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else { return false }
        return nearest == folder || access(nearest, W_OK | X_OK) == 0
    }

    private static func variable(_ name: String) -> String? {
        guard let value = getenv(name), value.pointee != 0 else { return nil }
        return String(cString: value)
    }

    /// The home directory of the account: services are often started without `HOME`.
    private static var accountHome: String? {
        guard let account = getpwuid(getuid()), let home = account.pointee.pw_dir else {
            return nil
        }
        return String(cString: home)
    }
}
