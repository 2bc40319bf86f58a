// SPDX-License-Identifier: Apache-2.0
public import Config
public import Ledger
public import Log
public import Reactor

/// Whoever has started a server and shows what it does.
///
/// All but the journal is called on the thread that runs the server, in the order of these functions.
public protocol ServerObserver {
    /// What stands below the lines of the log, where both go to one terminal.
    var lastLine: LastLine? { get }

    /// The journal for the reactors: this one, or one that listens too and hands everything on.
    func listening(to journal: Journal) -> Journal

    /// The listeners stand, at these addresses in the order of the configuration, and operators can ask.
    ///
    /// - Parameters:
    ///   - configuration: what is served.
    ///   - addresses: the listeners', as bound.
    ///   - adminSocket: the file or address where operators ask; nil where there is none.
    ///   - metrics: the address that has metrics and nothing else; nil where there is none.
    func listens(
        _ configuration: Configuration, at addresses: [Address], adminSocket: String?,
        metrics: Address?)

    /// Everything is there.
    ///
    /// - Throws: where it can't be shown; then the server ends.
    func begins(_ controller: Controller) throws

    /// The last connection has ended.
    func ends()
}
