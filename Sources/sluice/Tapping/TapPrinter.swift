// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import Reactor
import Tap

/// Shows what a tap is told, or writes it to files.
final class TapPrinter {
    private var decoder: TapDecoder
    private var har: TapHAR?
    private let harPath: String?
    private let recordFile: SecretFile?
    private let harFile: SecretFile?
    private let recordPath: String?
    private let isSilent: Bool
    private var frames: UInt64 = 0
    private var lost: UInt64 = 0
    /// Whether the Sluice has begun to tell.
    private(set) var hasBegun = false

    /// A printer that has opened its files.
    ///
    /// - Parameters:
    ///   - record: where lines of JSON go; nil for nowhere, `-` for standard output.
    ///   - har: where an archive goes, in the same way.
    ///   - payloadBytes: bytes of each payload that are kept.
    ///   - isSilent: whether nobody wants payloads, so that nothing is said where there are none.
    /// - Throws: `Complaint` where a file can't be written.
    init(record: String?, har: String?, payloadBytes: Int, isSilent: Bool) throws {
        decoder = TapDecoder(payloadBytesMax: payloadBytes)
        self.har = har == nil ? nil : TapHAR(version: Sluice.version)
        harPath = har
        recordPath = record
        // Opened before anything is listened to: what can't be written is said at once.
        recordFile = try record.flatMap { $0 == "-" ? nil : try SecretFile($0) }
        harFile = try har.flatMap { $0 == "-" ? nil : try SecretFile($0) }
        self.isSilent = isSilent
    }

    /// Whether lines for people are printed.
    private var isShown: Bool { recordPath == nil && harPath == nil }

    /// Whether the archive has as much as it may have, so that the tap ends.
    var isFull: Bool { har?.isFull ?? false }

    func take(_ told: TapRecord) throws {
        hasBegun = true
        guard let record = decoder.decode(told) else { return }
        switch record.type {
        case .tap: begin(record)
        case .frame: frames += 1
        case .lost: lost += record.frames ?? 0
        case .relay, .closed, .end: break
        }
        har?.take(record)
        if recordPath == "-" { Self.print(record.line) }
        try recordFile?.write(record.line)
        if isShown {
            let line = TapText.line(record)
            if !line.isEmpty { Output.line(line) }
        } else if record.type == .end, let reason = record.reason {
            Output.complain(reason)
        }
    }

    /// Prints JSON, on a terminal without what would steer it.
    private static func print(_ json: Data) {
        Output.write(isatty(STDOUT_FILENO) == 1 ? TapText.harmless(json) : Array(json))
    }

    private func begin(_ record: TapRecord) {
        if record.payloads == false && !isSilent {
            Output.complain(
                "Note: payloads are not shown, since admin.tap is headers. Set it to payloads (in quick mode by --tap"
                    + " payloads) if you may see what users say.")
        }
        if !isShown { Output.complain("Listening. Ctrl-C ends it.") }
    }

    func finish() throws {
        if let archive = har?.archive() {
            if harPath == "-" { Self.print(archive) }
            try harFile?.write(archive)
        }
        if isFull {
            Output.complain(
                "The tap has ended, since \(TapHAR.bytesMax >> 20) MiB of messages are as much as an archive may have:"
                    + " --record has no such limit.")
        }
        if frames > 0 || lost > 0 || !isShown {
            Output.complain(
                "\(frames) frame\(frames == 1 ? "" : "s")"
                    + (lost == 0 ? "." : ", and \(lost) lost: this tap was too slow."))
        }
    }
}

/// A file of the user's own that nobody else may read; what it has is replaced when something is written to it.
final class SecretFile {
    private let descriptor: Int32
    private let path: String
    /// Whether it has content that was not written here.
    private var isOld: Bool

    /// Opens it.
    ///
    /// - Throws: `Complaint` where it can't be written, or others could read what is.
    init(_ path: String) throws {
        self.path = path
        descriptor = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        var facts = stat()
        guard descriptor >= 0, fstat(descriptor, &facts) == 0 else {
            throw Self.failure(path, errno)
        }
        // A terminal or a pipe is left as it is.
        isOld = facts.st_mode & S_IFMT == S_IFREG
        guard isOld else { return }
        // One that was there may be open to others.
        guard facts.st_uid == geteuid(), fchmod(descriptor, 0o600) == 0 else {
            throw Complaint(
                "'\(path)' belongs to another user, who could read what is written there: name a file of your own."
            )
        }
    }

    deinit { close(descriptor) }

    func write(_ data: Data) throws {
        if isOld {
            guard ftruncate(descriptor, 0) == 0 else { throw Self.failure(path, errno) }
            isOld = false
        }
        var rest = data[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count >= 0 {
                rest = rest.dropFirst(count)
            } else if errno != EINTR {
                throw Self.failure(path, errno)
            }
        }
    }

    private static func failure(_ path: String, _ code: Int32) -> Complaint {
        Complaint(FileTrouble.sentence("written", path, code: code))
    }
}
