// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import Glibc

/// Whether nobody else can have changed an authority's files or read its key.
///
/// An authority that is trusted can vouch for every name in its scope, so one that somebody else may have
/// put there is not taken, and one whose key others can read is nobody's secret.
enum AuthoritySafety {
    /// Refuses a directory that others can write to, and what of these files others can write or read.
    ///
    /// Files that are not there are left to those who need them.
    static func check(
        directory: String, certificate: String, key: String
    ) throws(CertificateFault) {
        try checkWay(to: directory)
        for path in [certificate, key] {
            var status = stat()
            guard stat(path, &status) == 0 else { continue }
            let isKey = path == key
            guard isOurs(status.st_uid) else {
                throw CertificateFault(
                    path,
                    found: "it belongs to \(account(status.st_uid)), who may have put it there",
                    remedy: "move it away, or call sluice as that account")
            }
            guard !isKey || status.st_mode & (S_IRWXG | S_IRWXO) == 0 else {
                throw CertificateFault(
                    path, found: "others can read this private key, and sign with it",
                    remedy:
                        "move ca.pem and ca-key.pem away to have new ones made; if nobody can have"
                        + " read it, chmod 600 it")
            }
            guard !isWritable(status) else {
                throw CertificateFault(
                    path, found: "others can write to it",
                    remedy: "look whether it is still yours, then chmod go-w it")
            }
            // A link may lead to where others can put something else in its place.
            if let real = resolved(path) { try checkWay(to: CertificateFiles.parent(of: real)) }
        }
    }

    /// Looks at the directory and at all above it: whoever can write there can put another in its place.
    private static func checkWay(to directory: String) throws(CertificateFault) {
        guard var path = resolved(directory) else { return }
        var isFirst = true
        while true {
            var status = stat()
            guard lstat(path, &status) == 0 else { return }
            // In a user namespace the owner of what is outside is shown as nobody.
            let isForeign = !isOurs(status.st_uid) && (isFirst || status.st_uid != overflowUser)
            // Where the sticky bit is set nobody can rename what is ours, but anybody can add to it.
            let isGuarded = !isFirst && status.st_mode & S_ISVTX != 0
            let who =
                isForeign
                ? account(status.st_uid)
                : status.st_mode & S_IWOTH != 0 ? "everybody" : "group \(group(status.st_gid))"
            guard !isForeign, isGuarded || !isWritable(status) else {
                throw CertificateFault(
                    path,
                    found: "\(who) can write to this directory, and so put another authority into"
                        + " \(directory)",
                    remedy: isForeign
                        ? "call sluice as that account, or take a directory of your own: --directory DIR"
                        : "look whether ca.pem is still yours, then chmod go-w the directory; or take"
                            + " another one: --directory DIR")
            }
            if path == "/" { return }
            path = CertificateFiles.parent(of: path)
            isFirst = false
        }
    }

    private static let overflowUser: uid_t = 65_534

    /// Whether an account is the present one, root, or whoever called sudo.
    private static func isOurs(_ user: uid_t) -> Bool { ours.contains(user) }

    private static var ours: [uid_t] {
        var users: [uid_t] = [0, geteuid()]
        if geteuid() == 0 {
            if let text = getenv("SUDO_UID"), let user = uid_t(String(cString: text)) {
                users.append(user)
            } else if let name = getenv("SUDO_USER"), let entry = getpwnam(name) {
                users.append(entry.pointee.pw_uid)
            }
        }
        return users
    }

    /// Whether group or others may write, leaving aside a group that is one of ours alone.
    private static func isWritable(_ status: stat) -> Bool {
        if status.st_mode & S_IWOTH != 0 { return true }
        return status.st_mode & S_IWGRP != 0 && !isPrivate(group: status.st_gid)
    }

    /// Whether a group has one member: many systems give each account a group of its name, and make its
    /// home writable for that.
    private static func isPrivate(group: gid_t) -> Bool {
        if group == 0 { return true }
        for user in ours {
            guard let entry = getpwuid(user), entry.pointee.pw_gid == group,
                let name = entry.pointee.pw_name.map({ String(cString: $0) }),
                let found = getgrgid(group), String(cString: found.pointee.gr_name) == name
            else { continue }
            var member = found.pointee.gr_mem
            var isAlone = true
            while let next = member?.pointee {
                if String(cString: next) != name { isAlone = false }
                member = member.map { $0 + 1 }
            }
            if isAlone { return true }
        }
        return false
    }

    private static func account(_ user: uid_t) -> String {
        getpwuid(user).flatMap { $0.pointee.pw_name }.map { String(cString: $0) } ?? "user \(user)"
    }

    private static func group(_ group: gid_t) -> String {
        getgrgid(group).flatMap { $0.pointee.gr_name }.map { String(cString: $0) } ?? "\(group)"
    }

    /// The path without links; nil where it leads nowhere.
    private static func resolved(_ path: String) -> String? {
        guard let real = realpath(path, nil) else { return nil }
        defer { free(real) }
        return String(cString: real)
    }
}
