// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import TLS

/// The engines that a suite of records is run with, one after the other.
enum Engines {
    /// The one of the test that runs.
    @TaskLocal static var current = RecordEngine.openSSL

    /// Why there is no other than OpenSSL; nil where there is.
    static let fault: String? = {
        do throws(GCMFault) {
            _ = try GCMLibrary.forms()
            return nil
        } catch {
            return error.sentence
        }
    }()

    /// The forms of intel-ipsec-mb for this processor.
    static let forms: [GCMForm] = (try? GCMLibrary.forms()) ?? []

    static let all = [RecordEngine.openSSL] + forms.map { RecordEngine($0) }
}

/// Runs each test of a suite with every engine that is there, each time from its beginning.
struct EachEngine: SuiteTrait, TestTrait, TestScoping {
    var isRecursive: Bool { true }

    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
    ) async throws {
        // Of the suite itself there is nothing to run twice.
        guard testCase != nil else { return try await function() }
        for engine in Engines.all {
            try await Engines.$current.withValue(engine) { try await function() }
        }
    }
}

extension Trait where Self == EachEngine {
    static var eachEngine: Self { EachEngine() }
}

/// Says with which engine something went wrong.
extension Trait where Self == IssueHandlingTrait {
    static var namingEngine: Self {
        .compactMapIssues { issue in
            var issue = issue
            issue.comments.append("with \(Engines.current.name)")
            return issue
        }
    }
}
