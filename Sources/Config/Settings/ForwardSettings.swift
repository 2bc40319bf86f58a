// SPDX-License-Identifier: Apache-2.0

/// Another server that says who may use a route.
public struct ForwardSettings: Sendable, Equatable {
    /// Who is asked.
    public var to: RouteSettings.Target
    /// The path that it is asked for.
    public var path = "/"
    /// How long it may take.
    public var timeout = Duration.seconds(5)
    /// Fields of its answer that go on to the app.
    public var fields: [String] = []
    /// How often it is asked again while a relay lives; never where it is nil.
    public var recheck: Duration?
    /// For how long what it has granted holds; for one request where it is nil.
    public var cache: Duration?
    /// The code of the Close for a relay that it grants no more.
    public var code: UInt16 = 1_008
    /// Where it was written.
    public var place = SourcePlace.commandLine

    /// This server.
    public init(to: RouteSettings.Target) { self.to = to }
}
