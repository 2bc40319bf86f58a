// SPDX-License-Identifier: Apache-2.0
import Splice

extension Patience {
    /// What holds in tests that say nothing of it; the rig turns the clock to what is due.
    static let tests = Patience(closingMilliseconds: 10_000, lingerMilliseconds: 2_000)
}
