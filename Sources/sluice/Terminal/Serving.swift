// SPDX-License-Identifier: Apache-2.0
import Admin
import Config
import Ledger
import Log
import Reactor
import Service
import Trust

/// A server that a command has started, as the person in front of it sees it.
struct Serving: ServerObserver {
    private let source: Controller.Source
    private let app: AppWatch?
    private let announce: (Configuration) -> Announcement
    private let console = Console()

    /// Serves until somebody says to stop; returns when everything has ended in order.
    ///
    /// What `announce` makes is printed when the listeners stand; `app` is looked after from then on. `held` are
    /// sockets that listen already at addresses of the configuration.
    static func run(
        _ source: Controller.Source, watching app: AppWatch? = nil,
        holding held: [Successor.Handed] = [],
        announcing announce: @escaping (Configuration) -> Announcement
    ) throws {
        Output.serves()
        try Server.run(
            source, version: Sluice.version, holding: held,
            observedBy: Serving(source: source, app: app, announce: announce))
    }

    private init(
        source: Controller.Source, app: AppWatch?,
        announce: @escaping (Configuration) -> Announcement
    ) {
        self.source = source
        self.app = app
        self.announce = announce
    }

    var lastLine: LastLine? { console.lastLine }

    func listening(to journal: Journal) -> Journal { console.listening(to: journal, for: app) }

    func listens(
        _ configuration: Configuration, at addresses: [Address], adminSocket: String?,
        metrics: Address?
    ) {
        let announcement = announce(configuration)
        app?.pageOrigin = announcement.pageOrigin(addresses)
        let announced = announcement.lines(
            addresses, terminal: console.terminal, columns: Terminal.columns)
        for line in announced { console.line(line) }
        if let metrics { console.line("metrics   http://\(metrics)/metrics") }
        if let place = adminSocket {
            let isUsual =
                AdminSocket.usualPlaces.contains(place)
                && AdminOptions.firstAnswering(AdminSocket.places) == place
            console.line(
                "status    \(Program.name) status"
                    + (isUsual ? "" : " --admin \(Shell.word(place))"))
        }
    }

    func begins(_ controller: Controller) throws {
        try console.start(controller)
        try app?.start(console)
    }

    func ends() { console.end() }
}
