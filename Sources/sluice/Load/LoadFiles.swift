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

/// A file that is written as a whole, when all is known.
final class ReportFile {
    private let descriptor: Int32
    private let path: String

    private init(_ path: String) throws(LoadFault) {
        self.path = path
        descriptor = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else {
            throw LoadFault(FileTrouble.sentence("written", path, code: errno))
        }
    }

    deinit { close(descriptor) }

    /// The file of an option that may not be given.
    static func opened(_ path: String?) throws(LoadFault) -> ReportFile? {
        guard let path else { return nil }
        return try ReportFile(path)
    }

    /// Writes it in place of what it has.
    ///
    /// - Returns: what is wrong, in a sentence; nil where it is written.
    func write(_ data: Data) -> String? {
        var facts = stat()
        if fstat(descriptor, &facts) == 0, facts.st_mode & S_IFMT == S_IFREG {
            guard ftruncate(descriptor, 0) == 0 else { return trouble(errno) }
        }
        var rest = data[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count >= 0 {
                rest = rest.dropFirst(count)
            } else if errno != EINTR {
                return trouble(errno)
            }
        }
        return nil
    }

    private func trouble(_ code: Int32) -> String {
        FileTrouble.sentence("written", path, code: code)
    }
}
