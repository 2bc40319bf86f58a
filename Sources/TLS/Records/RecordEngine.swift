// SPDX-License-Identifier: Apache-2.0

/// Who seals and opens the records of sessions that have left OpenSSL's object, in AES-GCM.
///
/// It is intel-ipsec-mb where that is installed, the processor has what it needs, and it has done in a
/// check what OpenSSL does; else it is OpenSSL.
public struct RecordEngine: Sendable {
    /// What people call it: `OpenSSL`, or `intel-ipsec-mb 1.3.0 (VAES and AVX-512)`.
    public let name: String
    /// Why it is OpenSSL, where the other was looked for: a sentence without its end.
    public let reason: String?
    /// The functions of intel-ipsec-mb; nil for OpenSSL.
    let form: GCMForm?

    /// OpenSSL, for whatever reason.
    public static let openSSL = RecordEngine(name: "OpenSSL", reason: nil, form: nil)

    /// The fastest that is there and right, looked for when the process first asks: some milliseconds.
    public static let best = find { () throws(GCMFault) in try GCMLibrary.forms() }

    /// Takes the first of the forms if it does what OpenSSL does.
    ///
    /// - Parameter forms: gives the forms for this processor, the fastest first, or says why there are
    ///   none.
    /// - Returns: the engine; OpenSSL with its reason where the form is not to be used.
    static func find(_ forms: () throws(GCMFault) -> [GCMForm]) -> RecordEngine {
        do throws(GCMFault) {
            guard let form = try forms().first else { throw GCMFault.processor }
            if let fault = GCMCheck.fault(of: form) {
                throw GCMFault("\(form.name) is not used: \(fault)")
            }
            return RecordEngine(form)
        } catch {
            return RecordEngine(name: "OpenSSL", reason: error.sentence, form: nil)
        }
    }

    init(_ form: GCMForm) {
        self.init(name: form.name, reason: nil, form: form)
    }

    private init(name: String, reason: String?, form: GCMForm?) {
        self.name = name
        self.reason = reason
        self.form = form
    }
}
