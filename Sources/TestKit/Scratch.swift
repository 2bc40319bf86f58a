// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc

/// Folders that the tests write to: below one per process, removed when the process ends.
public enum Scratch {
    /// The package's folder, from this file's place in it.
    public static let packageFolder = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().path

    private static let root: String = {
        let path = NSTemporaryDirectory() + "/sluice-tests-\(getpid())"
        atexit { try? FileManager.default.removeItem(atPath: Scratch.rootPath) }
        return path
    }()
    private static var rootPath: String { root }

    /// Makes a folder of its own for one test or peer.
    public static func makeFolder() throws -> String {
        // Short names: the path of a unix socket has at most 107 bytes.
        let name = String(UInt32.random(in: 0...(.max)), radix: 36)
        let path = "\(root)/\(name)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        return path
    }

    /// Removes a folder and what is in it.
    public static func remove(_ path: String) {
        try? FileManager.default.removeItem(atPath: path)
    }

    /// Writes a file and returns its path.
    @discardableResult
    public static func write(_ text: String, to path: String) throws -> String {
        try text.write(toFile: path, atomically: false, encoding: .utf8)
        return path
    }

    /// Writes a program that may be run at once, and returns its path.
    ///
    /// Another process writes it: whatever this one has open for writing, a child that another test starts at the
    /// same moment has open as well until it runs its own program, and a file that is open for writing can't be run
    /// (`ETXTBSY`).
    @discardableResult
    public static func writeProgram(_ text: String, to path: String) throws -> String {
        let script = "printf %s \"$1\" > \"$2\" && chmod 755 \"$2\""
        try run(["/bin/sh", "-c", script, "sh", text, path])
        return path
    }

    /// Copies a file over another.
    public static func copy(_ source: String, over target: String) throws {
        let bytes = try Data(contentsOf: URL(fileURLWithPath: source))
        try bytes.write(to: URL(fileURLWithPath: target))
    }

    /// The text of a file.
    public static func read(_ path: String) throws -> String {
        try String(contentsOfFile: path, encoding: .utf8)
    }
}
