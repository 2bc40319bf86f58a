// SPDX-License-Identifier: Apache-2.0
public import Reactor

/// A port to take instead of one that somebody else has.
public enum FreePort {
    /// Ports that are tried, the taken one included where it counts among them.
    public static let triedMax: UInt16 = 10

    /// The next free port behind one that is taken; nil where none of the next is free.
    public static func after(_ address: Address) -> UInt16? {
        let last = UInt16(clamping: Int(address.port) + Int(triedMax))
        guard !address.isUnix, address.port > 0, last > address.port else { return nil }
        return (address.port + 1...last).first { port in
            do throws(SystemError) {
                _ = try Listener(address: address.with(port: port))
                return true
            } catch {
                return false
            }
        }
    }
}
