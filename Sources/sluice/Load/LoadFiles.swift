// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import LoadGenerator

/// The files that a load writes; opened before it begins, so that what can't be written is said at once.
final class LoadFiles {
    private let json: ReportFile?
    private let hgrm: ReportFile?
    private let page: ReportFile?
    private let isJSONPrinted: Bool

    init(_ options: LoadReportOptions) throws(LoadFault) {
        isJSONPrinted = options.json == "-"
        json = try isJSONPrinted ? nil : ReportFile.opened(options.json)
        hgrm = try ReportFile.opened(options.hgrm)
        page = try ReportFile.opened(options.report)
    }

    /// Writes all of them, also where one can't be written.
    func write(_ result: LoadResult) throws {
        var faults: [String] = []
        func write(_ file: ReportFile?, _ bytes: @autoclosure () throws -> Data) throws {
            guard let file else { return }
            if let fault = file.write(try bytes()) { faults.append(fault) }
        }
        if isJSONPrinted { Output.write(Array(try Self.json(result.summary))) }
        try write(json, Self.json(result.summary))
        try write(hgrm, Data(result.percentileText.utf8))
        try write(page, Data(LoadPage.html(result.summary).utf8))
        if !faults.isEmpty { throw LoadFault(faults.joined(separator: "\n")) }
    }

    /// A summary as the text of JSON, with a line end.
    static func json(_ summary: LoadSummary) throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes, .prettyPrinted]
        return try encoder.encode(summary) + Data("\n".utf8)
    }
}

/// A file that is written as a whole, when all is known, and takes the place of the old one only then.
///
/// What is no ordinary file (a pipe, a terminal) is written directly, and so is one in a folder where no other can be made.
final class ReportFile {
    private let path: String
    private var descriptor: Int32
    /// Whether there is none yet: it is made when it is written, so that a run that comes to nothing leaves none.
    private let isNew: Bool

    private init(_ path: String) throws(LoadFault) {
        self.path = path
        let old = open(path, O_WRONLY | O_CLOEXEC)
        isNew = old < 0 && errno == ENOENT
        descriptor = isNew ? open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o644) : old
        guard descriptor >= 0 else {
            throw LoadFault(FileTrouble.sentence("written", path, code: errno))
        }
        if isNew { remove() }
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    /// Takes away what was made; a link that leads to it stays.
    private func remove() {
        guard let target = realpath(path, nil) else { return }
        unlink(target)
        free(target)
    }

    /// The file of an option that may not be given.
    static func opened(_ path: String?) throws(LoadFault) -> ReportFile? {
        guard let path else { return nil }
        return try ReportFile(path)
    }

    /// Writes it in place of what it has; where that fails, the old one is as it was.
    ///
    /// - Returns: what is wrong, in a sentence; nil where it is written.
    func write(_ data: Data) -> String? {
        guard isNew else { return replace(data) }
        close(descriptor)
        descriptor = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { return trouble(errno) }
        let fault = replace(data)
        if fault != nil { remove() }
        return fault
    }

    private func replace(_ data: Data) -> String? {
        var facts = stat()
        let isOrdinary = fstat(descriptor, &facts) == 0 && facts.st_mode & S_IFMT == S_IFREG
        guard isOrdinary, let target = realpath(path, nil) else {
            return trouble(Self.write(data, descriptor))
        }
        defer { free(target) }
        let beside = String(cString: target) + ".\(getpid()).part"
        let new = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard new >= 0 else {
            // Nothing can be made beside it: what is there is given up.
            guard errno == EACCES || errno == EPERM || errno == EROFS else { return trouble(errno) }
            return trouble(
                ftruncate(descriptor, 0) == 0 ? Self.write(data, descriptor) : errno)
        }
        defer { close(new) }
        var code = Self.write(data, new)
        // Some file systems tell only now that there was no room.
        if code == 0, fsync(new) != 0 { code = errno }
        if code == 0, fchmod(new, facts.st_mode & 0o7777) != 0 { code = errno }
        if code == 0, rename(beside, target) != 0 { code = errno }
        if code != 0 { unlink(beside) }
        return trouble(code)
    }

    /// Writes all bytes.
    ///
    /// - Returns: 0, or the error code of the system.
    private static func write(_ data: Data, _ descriptor: Int32) -> Int32 {
        var rest = data[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count >= 0 {
                rest = rest.dropFirst(count)
            } else if errno != EINTR {
                return errno
            }
        }
        return 0
    }

    private func trouble(_ code: Int32) -> String? {
        code == 0 ? nil : FileTrouble.sentence("written", path, code: code)
    }
}
