// SPDX-License-Identifier: Apache-2.0

extension String {
    /// Without what steers a terminal: peers choose fields, reasons and names in certificates.
    public var harmless: String {
        let isHarmful: (Unicode.Scalar) -> Bool = { scalar in
            scalar.value < 0x20 || (0x7F..<0xA0).contains(scalar.value)
                || scalar.properties.isBidiControl
        }
        guard unicodeScalars.contains(where: isHarmful) else { return self }
        var scalars = String.UnicodeScalarView()
        for scalar in unicodeScalars { scalars.append(isHarmful(scalar) ? "." : scalar) }
        return String(scalars)
    }
}

extension Diagnosis {
    /// The same in text that harms no terminal.
    var harmless: Diagnosis {
        var same = self
        same.steps = steps.map {
            Step(
                kind: $0.kind, isGood: $0.isGood, milliseconds: $0.milliseconds,
                found: $0.found.harmless)
        }
        same.notes = notes.map(\.harmless)
        same.sentence = sentence.harmless
        same.remedy = remedy.harmless
        same.beyond = beyond.map {
            Prospect(
                verdict: $0.verdict, sentence: $0.sentence.harmless, remedy: $0.remedy.harmless)
        }
        return same
    }
}
