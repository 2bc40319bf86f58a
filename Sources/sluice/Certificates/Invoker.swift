// SPDX-License-Identifier: Apache-2.0
import Glibc
import Service
import Trust

/// Who called sudo: root's own data directory and browsers are hardly ever meant.
struct Invoker: Equatable {
    let name: String
    let home: String

    /// Where that user's authority is; sudo keeps no `XDG_DATA_HOME`.
    var dataDirectory: String { DataDirectory.path(dataHome: nil, home: home) }

    /// That root's authority is another one than that user's.
    var otherAuthority: String {
        "by sudo the authority is root's, which no browser of \(name) believes: start sluice without"
            + " sudo. A port below 1024 then needs, once,"
            + " sudo setcap cap_net_bind_service=+ep \(Shell.word(Successor.programPath() ?? "sluice"))"
    }

    /// The user behind this process; nil where it does not run by sudo.
    static var current: Invoker? {
        guard geteuid() == 0, let value = getenv("SUDO_USER") else { return nil }
        return named(String(cString: value))
    }

    /// The account of that name; nil for root and for nobody.
    static func named(_ name: String) -> Invoker? {
        guard !name.isEmpty, let account = getpwnam(name), account.pointee.pw_uid != 0,
            let home = account.pointee.pw_dir
        else { return nil }
        return Invoker(name: name, home: String(cString: home))
    }
}
