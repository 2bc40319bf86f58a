// SPDX-License-Identifier: Apache-2.0

/// What became of the live sockets in an upgrade.
public struct UpgradeReport: Codable, Sendable, Equatable {
    /// How many go on in the new process.
    public var moved = 0
    /// How many have stayed in the old one, which drains.
    public var stayed = 0
    /// How many were lost.
    public var lost = 0
    /// From the first look at them to the last one that moved, in milliseconds.
    public var moveMilliseconds: UInt64 = 0
    /// Why not all were moved that could have been, or why there is no new process; nil where all is well.
    public var fault: String?
    /// The number of the process that was asked.
    public var oldProcess: Int32
    /// The number of the process that has taken over.
    public var newProcess: Int32

    /// Nothing has become of any yet.
    public init(oldProcess: Int32, newProcess: Int32) {
        self.oldProcess = oldProcess
        self.newProcess = newProcess
    }
}
