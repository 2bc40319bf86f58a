// SPDX-License-Identifier: Apache-2.0

/// Who seals and opens the records of sessions that have left OpenSSL's object, in AES-GCM.
///
/// It is intel-ipsec-mb where that is installed, the processor has what it needs, and it has done in a
/// check what OpenSSL does; else it is OpenSSL.
public struct RecordEngine: Sendable {
    /// What people call it: `OpenSSL`, or `intel-ipsec-mb 1.3.0 (VAES and AVX-512)`.
    public let name: String
    /// Why it is none faster, where a faster one was looked for: a sentence without its end.
    public let reason: String?
    /// The functions of intel-ipsec-mb; nil for OpenSSL.
    let form: GCMForm?

    /// OpenSSL, for whatever reason.
    public static let openSSL = RecordEngine(name: "OpenSSL", reason: nil, form: nil)

    /// The fastest that is there and right, looked for when the process first asks: some milliseconds.
    public static let best = find { () throws(GCMFault) in try GCMLibrary.forms() }

    /// Takes the first of the forms that does what OpenSSL does.
    ///
    /// - Parameter forms: gives the forms for this processor, the fastest first, or says why there are
    ///   none.
    /// - Returns: the engine, with what is wrong with faster ones; OpenSSL where no form is to be used.
    static func find(_ forms: () throws(GCMFault) -> [GCMForm]) -> RecordEngine {
        do throws(GCMFault) {
            var faults: [String] = []
            for form in try forms() {
                guard let fault = GCMCheck.fault(of: form) else {
                    return RecordEngine(form, reason: sentence(faults))
                }
                faults.append("\(form.name) is not used: \(fault)")
            }
            throw sentence(faults).map { GCMFault($0) } ?? .processor
        } catch {
            return RecordEngine(name: "OpenSSL", reason: error.sentence, form: nil)
        }
    }

    private static func sentence(_ faults: [String]) -> String? {
        faults.isEmpty ? nil : faults.joined(separator: "; ")
    }

    init(_ form: GCMForm, reason: String? = nil) {
        self.init(name: form.name, reason: reason, form: form)
    }

    private init(name: String, reason: String?, form: GCMForm?) {
        self.name = name
        self.reason = reason
        self.form = form
    }
}
