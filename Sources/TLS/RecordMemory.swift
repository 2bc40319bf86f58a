// SPDX-License-Identifier: Apache-2.0

enum RecordMemory {
    static func install() {}
}
