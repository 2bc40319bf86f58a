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
