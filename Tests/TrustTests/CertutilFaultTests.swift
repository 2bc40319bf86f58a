// SPDX-License-Identifier: Apache-2.0
import Foundation
import TestKit
import Testing

@testable import Trust

/// What certutil has printed, as a cause.
struct CertutilFaultTests {
    @Test(arguments: [
        (
            "Enter Password:\ncertutil: could not authenticate to token NSS Certificate DB.: "
                + "SEC_ERROR_BAD_PASSWORD: The security password entered is incorrect.\n",
            CertutilFault.wantsPassword
        ),
        (
            "certutil: function failed: SEC_ERROR_READ_ONLY: security library: read-only database.",
            .other(
                "certutil: function failed: SEC_ERROR_READ_ONLY: security library: read-only database."
            )
        ),
        ("", .other("it said nothing")),
    ])
    func `a wanted password is told from other faults`(output: String, fault: CertutilFault) {
        #expect(CertutilFault(output) == fault)
    }

    /// The real program, on databases in each state.
    @Test
    func `a database without keys is told from one with a key and one that can't be looked into`()
        throws
    {
        let place = try TrustPlace()
        func keys(_ name: String) throws -> CertutilKeys {
            let program = try #require(Program.find("certutil"))
            let said = Program.run(program, ["-K", "-d", "sql:\(place.folder)/\(name)"])
            return CertutilKeys(status: said.status, output: said.output)
        }
        try place.makeDatabase("none")
        #expect(try keys("none") == .none)
        try place.makeDatabase("some")
        try Scratch.write(String(repeating: "noise", count: 400), to: "\(place.folder)/noise")
        try run([
            "certutil", "-S", "-d", "sql:\(place.folder)/some", "-n", "own", "-s", "CN=own", "-x",
            "-t",
            "C,,", "-z", "\(place.folder)/noise",
        ])
        #expect(try keys("some") == .some)
        try place.make("locked")
        try Scratch.write("a long password\n", to: "\(place.folder)/password")
        try run([
            "certutil", "-N", "-d", "sql:\(place.folder)/locked", "-f", "\(place.folder)/password",
        ])
        #expect(try keys("locked") == .unknown)
        try place.makeDatabase("damaged")
        try Scratch.write("garbage", to: "\(place.folder)/damaged/key4.db")
        #expect(try keys("damaged") == .unknown)
    }

    @Test func `a damaged database fails in each command, and stays as it is`() throws {
        let place = try TrustPlace()
        try place.makeDatabase("home/.pki/nssdb")
        let database = "\(place.folder)/home/.pki/nssdb/cert9.db"
        try Scratch.write("garbage", to: database)
        let stores = try place.stores(root: false)
        for reports in [
            stores.untrust(), stores.untrust(all: true), stores.status(), stores.trust(),
        ] {
            #expect(reports.count == 1)
            guard case .failed(let reason) = reports[0].outcome else {
                Issue.record("\(reports[0].text)")
                continue
            }
            #expect(reason.contains("certutil can't read it: "), "\(reason)")
            #expect(reason.contains("SEC_ERROR_"), "\(reason)")
        }
        #expect(try Scratch.read(database) == "garbage")
    }

    @Test func `keys without certificates beside them stay, and are told of`() throws {
        let place = try TrustPlace()
        try place.makeDatabase("home/.pki/nssdb")
        let folder = "\(place.folder)/home/.pki/nssdb"
        try FileManager.default.removeItem(atPath: "\(folder)/cert9.db")
        let before = try place.contents("home")
        let report = try #require(try place.stores(root: false).trust().first)
        #expect(
            report.text.contains(
                "failed: key4.db is there and cert9.db is not: end that browser, move the folder"),
            "\(report.text)")
        #expect(try place.contents("home") == before)
    }
}
