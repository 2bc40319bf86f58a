// SPDX-License-Identifier: Apache-2.0
public import Config
import TLS

/// Whether sessions leave OpenSSL's object by a configuration, who seals and opens their records then,
/// and why it is so.
public struct RecordPlan: Sendable {
    let releases: Bool
    let engine: RecordEngine
    /// Why every session keeps OpenSSL's object; nil where they leave it.
    let keepingReason: String?
    /// Why no faster engine seals and opens for those that leave it; nil where there is none.
    let engineReason: String?
    /// Why OpenSSL derives the keys of TLS 1.3; nil where it does not.
    let keyScheduleReason: String?

    /// The plan of a configuration; nil where neither clients nor apps are spoken to by TLS.
    public init?(_ configuration: Configuration) {
        guard configuration.speaksTLS else { return nil }
        let settings = configuration.tls
        keepingReason = settings.release ? TLSSession.releaseFault : "tls.release says so"
        releases = keepingReason == nil
        keyScheduleReason =
            settings.keySchedule == .openssl ? "tls.keySchedule says so" : KeySchedule.fault
        engine = releases && settings.records == .auto ? .best : .openSSL
        engineReason =
            if !releases { nil } else if settings.records == .openssl {
                "tls.records says so"
            } else { engine.reason }
    }

    /// What operators read of it, in `sluice check` and in the log.
    public var sentence: String {
        recordSentence
            + (keyScheduleReason.map { " OpenSSL also derives all keys: \($0)." } ?? "")
    }

    /// Has the process derive keys as planned, in all handshakes from now on.
    func useKeySchedule() { KeySchedule.leaveToOpenSSL(keyScheduleReason != nil) }

    private var recordSentence: String {
        if let keepingReason {
            return "TLS: OpenSSL does the handshakes and all records: \(keepingReason)."
        }
        let reason = engineReason.map { ": \($0)" } ?? ""
        return engine.name == RecordEngine.openSSL.name
            ? "TLS: OpenSSL does the handshakes, and the arithmetic of the records behind them\(reason)."
            : "TLS: OpenSSL does the handshakes, and \(engine.name) the records behind them\(reason)."
    }
}
