// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import TLS

/// Goal: from traffic secrets that are published come the records that are published: labels, nonces, headers and
/// types are those of everybody else (RFC 8448 §3).
@Suite(.eachEngine, .namingEngine)
struct PublishedRecordsTests {
    private let server: RecordEnd
    private let data = [UInt8](0..<50)

    init() throws {
        let client = "9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5"
        let own = "a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643"
        server = try #require(
            RecordEnd(
                cipher: 0x1301, reading: Self.secret(client), writing: Self.secret(own),
                engine: Engines.current))
    }

    @Test func `the client's application data and its close_notify are read`() {
        #expect(
            server.read(
                bytes(
                    "1703030043a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f2b9819a8a5"
                        + "b46b395bd54a9a20441e2b62974e1f5a6292a2977014bd1e3deae63aeebb21694915e4"))
                == data)
        #expect(!server.isReadClosed)
        #expect(server.read(bytes("1703030013c9872760655666b74d7ff1153efd6db6d0b0e3")) == [])
        #expect(server.isReadClosed)
        #expect(server.failure == nil)
    }

    @Test func `the server's application data is written so`() throws {
        // The server's record number 0 has a ticket.
        _ = try #require(server.write([0]))
        #expect(
            server.write(data)
                == bytes(
                    "17030300432e937e11ef4ac740e538ad36005fc4a46932fc3225d05f82aa1b36e30efaf97d"
                        + "90e6dffc602dcb501a59a8fcc49c4bf2e5f0a21c0047c2abf332540dd032e167c2955d"))
    }

    /// A secret with room behind it, as an end takes it.
    private static func secret(_ digits: String) -> [UInt8] {
        let secret = bytes(digits)
        return secret + [UInt8](repeating: 0, count: RecordEnd.secretBytes - secret.count)
    }

    private static func bytes(_ digits: String) -> [UInt8] {
        stride(from: 0, to: digits.utf8.count, by: 2).compactMap { place in
            let start = digits.index(digits.startIndex, offsetBy: place)
            return UInt8(digits[start..<digits.index(start, offsetBy: 2)], radix: 16)
        }
    }

    private func bytes(_ digits: String) -> [UInt8] { Self.bytes(digits) }
}
