// SPDX-License-Identifier: Apache-2.0
import COpenSSL

/// The certificates of a file in the order in which a server has to send them (RFC 5246 §7.4.2,
/// RFC 8446 §4.4.2).
struct ServerChain {
    /// The server's own, what signed it, and so on, as far as the file has them.
    let path: [CertificateReference]
    /// Those that are no part of that path, as they stand in the file.
    let rest: [CertificateReference]
    /// Those that stand there again.
    let repeated: [CertificateReference]
    /// Where the server's own stands in the file, counted from 0.
    let leafPlace: Int

    /// What is sent behind the server's own.
    var behind: [CertificateReference] { path.dropFirst() + rest }

    init(_ found: [CertificateReference], leaf place: Int) {
        leafPlace = place
        var different: [CertificateReference] = []
        var repeated: [CertificateReference] = []
        for certificate in found {
            if different.contains(where: { $0.isSame(as: certificate) }) {
                repeated.append(certificate)
            } else {
                different.append(certificate)
            }
        }
        self.repeated = repeated
        var path = [found[place]]
        var left = different.filter { !$0.isSame(as: found[place]) }
        while let last = path.last, !last.isSelfIssued,
            let next = left.firstIndex(where: { $0.hasSigned(last) })
        {
            path.append(left.remove(at: next))
        }
        self.path = path
        rest = left
    }

    /// Whether the path stands in the file in its order, leaving aside where the first one is.
    func isInOrder(_ found: [CertificateReference]) -> Bool {
        let places = path.dropFirst().compactMap { member in
            found.firstIndex { $0.isSame(as: member) }
        }
        return places == places.sorted()
    }
}
