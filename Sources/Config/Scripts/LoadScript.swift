// SPDX-License-Identifier: Apache-2.0

/// A script of `sluice load`: what the clients of a load do, step by step.
public struct LoadScript: Sendable, Equatable {
    /// How many clients there are at one time; nil for what the command line says.
    public var connections: Int?
    /// How long clients repeat their scenarios; nil where each goes through its own once.
    public var duration: Duration?
    /// The time over which clients begin; nil for at once.
    public var ramp: Duration?
    /// The path of a file in CSV with a row of variables for each client.
    public var users: String?
    /// Where that path stands in the script.
    public var usersPlace: SourcePlace?
    /// Variables that the script makes.
    public var variables: [LoadVariable] = []
    /// What clients do.
    public var scenarios: [LoadScenario] = []
    /// What the run has to show, as `--expect` takes it.
    public var expectations: [LoadExpected] = []

    /// A script without scenarios.
    public init() {}
}

/// What a run has to show.
public struct LoadExpected: Sendable, Equatable {
    /// As it was written.
    public let text: String
    /// Where.
    public let place: SourcePlace
}

/// A variable of a script.
public struct LoadVariable: Sendable, Equatable {
    /// Where its values come from.
    public enum Source: Sendable, Equatable {
        /// Always the same.
        case text(String)
        /// A number for each client, counted from this one on.
        case counter(Int)
        /// A number that is drawn anew each time a client begins its scenario.
        case random(ClosedRange<Int>)
    }

    /// Its name, as in `${name}`.
    public let name: String
    /// Where its values come from.
    public let source: Source

    /// A variable with its name.
    public init(name: String, source: Source) {
        self.name = name
        self.source = source
    }
}

/// What some of the clients do.
public struct LoadScenario: Sendable, Equatable {
    /// Its name, for messages.
    public var name = ""
    /// How many clients do this, in proportion to the weights of the others.
    public var weight = 1
    /// Path and query to ask for; nil for those of the URL.
    public var path: String?
    /// Subprotocols to offer.
    public var subprotocols: [String] = []
    /// Fields of the request.
    public var headers: [LoadHeader] = []
    /// What is done, in this order.
    public var steps: [LoadStep] = []
    /// Where it stands.
    public var place = SourcePlace.commandLine

    /// A scenario without steps.
    public init() {}
}

/// A field of a scenario's request.
public struct LoadHeader: Sendable, Equatable {
    /// Its name.
    public let name: String
    /// Its value, which may have variables in it.
    public let value: String

    /// A field by name and value.
    public init(name: String, value: String) {
        self.name = name
        self.value = value
    }
}

/// A step of a scenario.
public struct LoadStep: Sendable, Equatable {
    /// What a step does.
    public enum Action: Sendable, Equatable {
        /// Sends a text message, which may have variables in it.
        case send(String)
        /// Sends a binary message.
        case sendBytes([UInt8])
        /// Waits for a message.
        case expect(LoadCheck)
        /// Does nothing for a time that is drawn between these.
        case wait(ClosedRange<Duration>)
        /// Waits until so long after the WebSocket was opened; sends late rather than never.
        case until(Duration)
        /// Does steps over and over.
        case loop(times: Int, steps: [LoadStep])
        /// Sends a Close with this code.
        case close(Int)
    }

    /// What it does.
    public let action: Action
    /// Where it stands.
    public let place: SourcePlace

    /// A step with its place.
    public init(_ action: Action, place: SourcePlace) {
        self.action = action
        self.place = place
    }
}

/// What a message has to be like.
public struct LoadCheck: Sendable, Equatable {
    /// The whole text; nil where it does not matter.
    public var text: String?
    /// The whole payload; nil where it does not matter.
    public var bytes: [UInt8]?
    /// Whether it has to be a text message; nil where either will do.
    public var isText: Bool?
    /// A text that is in it.
    public var contains: String?
    /// A regular expression that fits some of it.
    public var matches: String?
    /// The way to a value in its JSON, as `user.names.0`.
    public var json: String?
    /// What that value is.
    public var equals: String?
    /// How long it may take.
    public var within = Duration.seconds(10)
    /// Whether the next message has to be it; else others are passed over.
    public var isNext = false
    /// Variables that get what was found: the value of `json`, the groups of `matches`, or the whole text.
    public var captures: [String] = []

    /// Any message.
    public init() {}
}
