// SPDX-License-Identifier: Apache-2.0

/// A value with some of its properties changed.
func with<Whole>(_ whole: Whole, _ change: (inout Whole) -> Void) -> Whole {
    var changed = whole
    change(&changed)
    return changed
}
