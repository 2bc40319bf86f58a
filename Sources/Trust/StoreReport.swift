// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc

/// Why Foundation could not change a file, without its domains and numbers.
enum FileTrouble {
    /// The system's reason, where it is known, and what to look at.
    static func reason(_ error: any Error) -> String {
        let cause = (error as NSError).userInfo[NSUnderlyingErrorKey] as? any Error
        let known = (cause ?? error) as NSError
        let text =
            known.domain == NSPOSIXErrorDomain
            ? strerror(Int32(truncatingIfNeeded: known.code)).map { String(cString: $0) } : nil
        return "\(text ?? "it was not possible"); see who may (namei -l) and the room there (df -h)"
    }
}

/// What became of one place where certificates are trusted.
public struct StoreReport: Sendable, Equatable {
    /// How it stands, or what was done.
    public enum Outcome: Sendable, Equatable {
        /// The authority is trusted there, and was before.
        case trusted
        /// The authority is not in this store.
        case absent
        /// It is trusted there from now on.
        case added
        /// The authority was in this store and was taken out.
        case removed
        /// Only root may change it, by this command.
        case needsRoot(String)
        /// A program is missing; how to get it.
        case needsTool(String)
        /// It was not touched, and why.
        case leftAlone(String)
        /// It was to forget the authority and still trusts it, and why.
        case stillTrusted(String)
        /// It could not be done, and why.
        case failed(String)
    }

    /// Whose store it is.
    public enum Owner: Sendable, Equatable {
        /// The system's, which programs without a list of their own believe.
        case system
        /// A browser's, by its name: `Chromium`, `Firefox`.
        case browser(String)
    }

    /// Whose store it is.
    public let owner: Owner
    /// The folder or file of the store.
    public let path: String
    /// How it stands, or what was done.
    public let outcome: Outcome

    /// The store in words: `system`, `Chromium`, `Firefox`.
    public var name: String {
        switch owner {
        case .system: "system"
        case .browser(let name): name
        }
    }

    /// A report on the store of this owner at this path.
    public init(owner: Owner, path: String, outcome: Outcome) {
        self.owner = owner
        self.path = path
        self.outcome = outcome
    }

    /// A line for people.
    public var text: String {
        let what =
            switch outcome {
            case .trusted: "trusted"
            case .absent: "not trusted"
            case .added: "trusted from now on"
            case .removed: "not trusted any more"
            case .needsRoot(let command): "needs root: \(command)"
            case .needsTool(let hint): hint
            case .leftAlone(let reason): "left alone: \(reason)"
            case .stillTrusted(let reason): "still trusted: \(reason)"
            case .failed(let reason): "failed: \(reason)"
            }
        return "\(name.padding(toWidth: 9)) \(path): \(what)"
    }
}

extension String {
    /// With spaces behind it up to a width.
    func padding(toWidth width: Int) -> String {
        self + String(repeating: " ", count: max(0, width - count))
    }
}
