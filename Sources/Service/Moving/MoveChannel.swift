// SPDX-License-Identifier: Apache-2.0
import Foundation
import Frontend
import Glibc
import Reactor
import Serialization

/// What two processes say to each other while relays move: small messages in JSON, and images in memory behind a
/// descriptor.
///
/// The one that takes over speaks first (`hello`). Then each `relays` is answered by one `outcomes`, in their order,
/// until the other says `finished` and is told so too, or closes the channel. What stands in a `relays` message is the
/// new process's from the moment in which it was sent; only what `outcomes` says was refused comes back. Behind
/// `finished` the new process may say `end`, each time answered by `ended`, until the other is gone.
enum MoveMessage: Codable, Equatable {
    /// The new process can take relays over.
    case hello
    /// So many relays; descriptors: the images, then two sockets for each, the client's first.
    case relays(count: Int)
    /// What became of each.
    case outcomes([Outcome])
    /// No more relays come; and, as the answer, that none are expected any more.
    case finished
    /// Some of the relays that have stayed are to end.
    case end(EndErrand, number: UInt64)
    /// What became of the errand of that number.
    case ended(EndErrand.Outcome, number: UInt64)

    /// What became of a relay.
    enum Outcome: Codable, Equatable {
        case taken
        case refused(String)
        case lost(String)
    }

    /// Relays of one message: a descriptor for the images, and two for each.
    static let relaysMax = (MessageSocket.descriptorsMax - 1) / 2
    /// Bytes of the images of one message.
    static let imageBytesMax = 256 << 20

    var bytes: [UInt8] { (try? JSONEncoder().encode(self)).map { [UInt8]($0) } ?? [] }

    /// Reads a message; nil for anything else.
    init?(_ bytes: [UInt8]) {
        guard let read = try? JSONDecoder().decode(Self.self, from: Data(bytes)) else { return nil }
        self = read
    }
}

extension MoveMessage.Outcome {
    init(_ outcome: TakeOver) {
        self =
            switch outcome {
            case .taken: .taken
            case .refused(let reason): .refused(reason)
            case .lost(let reason): .lost(reason)
            }
    }
}

/// Images one behind the other, each behind its length in eight bytes.
enum ImageFile {
    /// Writes images to memory that another process can read.
    ///
    /// - Returns: nil where there is no memory or no descriptor.
    static func write(_ relays: [RelayInTransit]) -> SharedFile? {
        guard var file = try? SharedFile(name: "sluice relays") else { return nil }
        // Written at once: two calls for each would be half of what it costs.
        let byteCount = relays.reduce(0) { $0 + 8 + $1.byteCount }
        var images = FieldWriter(capacity: byteCount)
        for relay in relays {
            withUnsafeBytes(of: UInt64(relay.byteCount).littleEndian) { images.append($0) }
            relay.withImage { images.append($0) }
        }
        guard images.withBytes({ file.append($0) }) else { return nil }
        return file
    }

    /// Makes relays of images and their sockets; nil where they do not fit each other.
    ///
    /// The sockets are the relays' from here on; where there are none, they are closed.
    static func read(_ descriptors: [Int32], count: Int) -> [RelayInTransit]? {
        guard descriptors.count == 1 + 2 * count, count > 0 else {
            for descriptor in descriptors { close(descriptor) }
            return nil
        }
        let images = SharedFile.read(descriptors[0], bytesMax: MoveMessage.imageBytesMax) { bytes in
            var relays: [RelayInTransit] = []
            var at = 0
            while relays.count < count, bytes.count - at >= 8 {
                let size = UInt64(
                    littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self))
                at += 8
                guard size <= UInt64(bytes.count - at) else { break }
                let image = UnsafeRawBufferPointer(rebasing: bytes[at..<at + Int(size)])
                at += Int(size)
                let sockets = 1 + 2 * relays.count
                relays.append(
                    RelayInTransit(
                        of: image, client: descriptors[sockets], backend: descriptors[sockets + 1]))
            }
            return relays
        }
        let relays = images ?? []
        if relays.count == count { return relays }
        for descriptor in descriptors[(1 + 2 * relays.count)...] { close(descriptor) }
        return nil
    }
}
