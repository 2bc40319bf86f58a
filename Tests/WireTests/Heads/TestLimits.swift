// SPDX-License-Identifier: Apache-2.0
import Wire

// What tests use that test no limit: numbers of their own.

extension HeadLimits {
    init(bytesMax: Int = 16_384, fieldsMax: Int = 100) {
        self.init(bytesMax: bytesMax, fieldsMax: fieldsMax, targetBytesMax: 8_192)
    }
}

extension RequestHeadParser {
    init() { self.init(limits: HeadLimits()) }
}

extension ResponseHeadParser {
    init() { self.init(limits: HeadLimits()) }
}

extension BodyDecoder {
    init(_ framing: BodyFraming) { self.init(framing, limits: HeadLimits()) }
}
