// SPDX-License-Identifier: Apache-2.0
import Access
import Reactor

/// The parts that decide who may use a route.
extension MicroParts {
    /// One operation judges one address; half of those that are asked about are in the list.
    static func addresses(count blockCount: Int) -> MicroPart {
        // Of each block the half behind it is free, so that none joins the next.
        let blocks = (0..<blockCount).compactMap { index in
            try? AddressBlock(
                parsing: "\(index >> 12).\(index >> 4 & 255).\(index << 4 & 255).0/25")
        }
        precondition(
            Set(blocks).count == blockCount, "the list has fewer blocks than it is called by")
        let list = AddressList(allowed: blocks, denied: [])
        let asked = (0..<64).map { index in
            let block = index * (blockCount / 64)
            return Address.ipv4(
                UInt8(block >> 12), UInt8(block >> 4 & 255), UInt8(block << 4 & 255),
                UInt8(index % 2 * 128), port: 0)
        }
        precondition(asked.count { list.admits($0) } == 32, "the list lets others in")
        return MicroPart(name: "address of \(blockCount)", bytes: 0) { count in
            var sum = 0
            for round in 0..<count where list.admits(asked[round & 63]) { sum &+= 1 }
            return sum
        }
    }

    /// One operation judges a token by ES256, which was seen before or was not.
    static func token(isKnown: Bool) -> MicroPart {
        var demands = TokenDemands()
        demands.issuers = ["https://issuer.test"]
        demands.audiences = ["app"]
        guard let keys = try? TokenKeys(Array(publicKey.utf8), from: .issuer) else {
            preconditionFailure("the key can't be read")
        }
        let ring = TokenKeyring(.file("keys"), keys: keys)
        let rule = TokenRule(demands, keyring: ring)
        let token = Array(signedToken.utf8)
        let name = isKnown ? "token seen before" : "token of ES256"
        return MicroPart(name: name, bytes: 0) { count in
            var sum = 0
            for _ in 0..<count {
                // A rule knows only what it has seen itself; to make one takes little beside a signature.
                let judge = isKnown ? rule : TokenRule(demands, keyring: ring)
                guard case .proven(let proven) = judge.judge(token, wallMilliseconds: moment) else {
                    preconditionFailure("a good token is refused")
                }
                sum &+= proven.subject.utf8.count
            }
            return sum
        }
    }

    /// In 2027; the token ends in 2100.
    private static let moment: UInt64 = 1_800_000_000_000

    /// A key and a token of it that joserfc 1.8 of PyPI has made, as those in the tests.
    private static let publicKey = """
        {"keys":[{"crv":"P-256","x":"Ztyhbey4XUM_cWVmnipeXtYMCnDCrg_SGD2EkbKV5uw",\
        "y":"2uFXjqvxq3BCjdnAju3y7LV7u-Ou0AtuGnpvwX5b2Mo","kid":"p256","kty":"EC"}]}
        """
    private static let signedToken = """
        eyJ0eXAiOiJKV1QiLCJhbGciOiJFUzI1NiIsImtpZCI6InAyNTYifQ.eyJpc3MiOiJodHRwczovL2lzc3Vlci50ZXN0IiwiY\
        XVkIjoiYXBwIiwic3ViIjoiYW5uIiwiZXhwIjo0MTAyNDQ0ODAwfQ.R0aNAflN25DZngU8WI2wXFq80rZkZ8y0WDI1DbWJBs\
        1CEo3CngfRCOsafNVMh6CQZM9zxHVEGynZWZW7UQV-wA
        """
}
