// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import Reactor
import Synchronization

/// Copies of the listening sockets that the service manager keeps, so that they listen on while a process that has
/// crashed is started again (`FileDescriptorStoreMax` in systemd.service(5), `FDSTORE` in sd_notify(3)).
///
/// Who connects meanwhile waits in the sockets' queues. Each socket has its address as its name there.
final class ListenerStore: Sendable {
    /// Says how many the manager keeps; systemd sets it from version 254 on, and a unit can for those before.
    static let variable = "FDSTORE"
    private static let prefix = "sluice-"
    /// Bytes of a name (sd_notify(3), `FDNAME`).
    private static let nameBytesMax = 255

    private let names: Mutex<Set<String>>
    private let socketsMax: Int

    /// Whether the manager keeps any.
    var isWanted: Bool { socketsMax > 0 }

    /// - Parameter inherited: the addresses of sockets that this process was handed: the manager may keep them.
    init(inherited: [Address]) {
        let text = ProcessInfo.processInfo.environment[Self.variable]
        socketsMax = text.flatMap { Int($0) } ?? 0
        names = Mutex(Set(inherited.compactMap(Self.name)))
    }

    /// Has the manager keep these sockets, and no others.
    func keep(_ sockets: [(address: Address, descriptor: Int32)]) {
        if !isWanted { return }
        names.withLock { names in
            let wanted = sockets.compactMap { socket in
                Self.name(socket.address).map { (name: $0, descriptor: socket.descriptor) }
            }.prefix(socketsMax)
            let present = Set(wanted.map(\.name))
            for name in names.subtracting(present).sorted() {
                ServiceManager.notify("FDSTOREREMOVE=1", "FDNAME=\(name)")
            }
            // One that it keeps already it takes for the same: known by the file, and not by the name.
            for socket in wanted {
                ServiceManager.notify(
                    "FDSTORE=1", "FDNAME=\(socket.name)", passing: socket.descriptor)
            }
            names = present
        }
    }

    /// The name of a socket: its address, without the colons that no name may have.
    private static func name(_ address: Address) -> String? {
        var name = prefix
        for byte in address.description.utf8 {
            switch byte {
            case UInt8(ascii: ":"), UInt8(ascii: "%"), ...0x20, 0x7F...:
                name += "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
            default: name.unicodeScalars.append(Unicode.Scalar(byte))
            }
        }
        return name.utf8.count <= nameBytesMax ? name : nil
    }
}
