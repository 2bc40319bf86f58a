// SPDX-License-Identifier: Apache-2.0
import Foundation
import TLS

/// A directory of its own for one test, gone with the value; and the `openssl` program, as a
/// second opinion on what was made there.
final class CertificateScratch: Sendable {
    let directory: String

    init() throws {
        let url = FileManager.default.temporaryDirectory
            .appendingPathComponent("sluice-certificates-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: false)
        directory = url.path
    }

    deinit { try? FileManager.default.removeItem(atPath: directory) }

    func path(_ name: String) -> String { directory + "/" + name }

    func read(_ name: String) throws -> String {
        try String(contentsOfFile: path(name), encoding: .utf8)
    }

    func write(_ text: String, to name: String) throws {
        try text.write(toFile: path(name), atomically: false, encoding: .utf8)
    }

    /// The permission bits of a file.
    func mode(_ name: String) throws -> Int {
        let attributes = try FileManager.default.attributesOfItem(atPath: path(name))
        return (attributes[.posixPermissions] as? NSNumber)?.intValue ?? -1
    }

    /// The authority and a leaf `leaf.pem` with `leaf-key.pem`.
    @discardableResult
    func ensureLeaf(_ names: [String]) throws -> LeafOutcome {
        try CertificateAuthority.loadOrMake(in: directory).ensureLeaf(
            for: names, chainPath: path("leaf.pem"), keyPath: path("leaf-key.pem"))
    }

    /// Runs `openssl` in the directory and waits for it.
    @discardableResult
    func openssl(_ arguments: String...) throws -> (status: Int32, output: String) {
        let output = Pipe()
        let process = program(arguments, output: output)
        try process.run()
        let bytes = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: bytes, as: UTF8.self))
    }

    /// An `openssl` that is not yet started; its output and errors go to `output`.
    func program(_ arguments: [String], output: Pipe) -> Process {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["openssl"] + arguments
        process.currentDirectoryURL = URL(fileURLWithPath: directory)
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = output
        process.standardError = output
        return process
    }
}
