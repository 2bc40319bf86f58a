// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestKit
import Testing

/// Resident memory of the program in KiB.
func residentKilobytes(of proxy: ProxyFixture) throws -> Int {
    let status = try Scratch.read("/proc/\(proxy.process.identifier)/status")
    let line = try #require(status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") })
    return try #require(line.split(separator: " ").dropFirst().first.flatMap { Int($0) })
}

/// User and system time of the program so far, in hundredths of a second.
func processorTicks(of proxy: ProxyFixture) throws -> Int {
    let status = try Scratch.read("/proc/\(proxy.process.identifier)/stat")
    let fields = status.split(separator: ")").last?.split(separator: " ") ?? []
    try #require(fields.count > 12)
    return try #require(Int(fields[11])) + #require(Int(fields[12]))
}

/// Checks what each refusal has in common: the status, a plain sentence for people, the
/// `Proxy-Status` field (RFC 9209), and that the connection ends after it.
func expectRefusal(
    _ response: HTTPResponse, _ status: Int, on client: WebSocketPeer,
    _ sourceLocation: SourceLocation = #_sourceLocation
) throws {
    #expect(response.status == status, "\(response.head)", sourceLocation: sourceLocation)
    #expect(
        response.text.split(separator: " ").count >= 3, "sentence: \(response.text)",
        sourceLocation: sourceLocation)
    #expect(
        response.head["Content-Type"]?.hasPrefix("text/plain") == true, "\(response.head)",
        sourceLocation: sourceLocation)
    let proxyStatus = response.head["Proxy-Status"] ?? ""
    #expect(
        proxyStatus.lowercased().hasPrefix("sluice"), "Proxy-Status: \(proxyStatus)",
        sourceLocation: sourceLocation)
    #expect(try client.expectEnd() == .orderly, sourceLocation: sourceLocation)
}

/// How many descriptors the program has open.
func openDescriptors(of proxy: ProxyFixture) throws -> Int {
    let folder = "/proc/\(proxy.process.identifier)/fd"
    return try FileManager.default.contentsOfDirectory(atPath: folder).count
}

/// The names of the program's threads.
func threadNames(of proxy: ProxyFixture) throws -> [String] {
    let folder = "/proc/\(proxy.process.identifier)/task"
    return try FileManager.default.contentsOfDirectory(atPath: folder).compactMap { thread in
        // One that has ended meanwhile has none.
        try? Scratch.read("\(folder)/\(thread)/comm").trimmingCharacters(in: .newlines)
    }
}

/// Asks again and again whether something has come true that nobody tells us of; throws naming it
/// when the deadline passes.
func eventually(_ what: String, by deadline: Deadline = .after(), _ isTrue: () throws -> Bool)
    throws
{
    while try !isTrue() {
        if deadline.hasPassed { throw PeerError("timed out before \(what)") }
        usleep(10_000)
    }
}

extension RelayEnds {
    /// Sends a text message each way and expects it to arrive.
    func exchange(_ text: String, _ sourceLocation: SourceLocation = #_sourceLocation) throws {
        try client.send(Frame.text(text).masked())
        #expect(try upstream.readFrame().text == text, sourceLocation: sourceLocation)
        try upstream.send(Frame.text(text))
        #expect(try client.readFrame().text == text, sourceLocation: sourceLocation)
    }
}
