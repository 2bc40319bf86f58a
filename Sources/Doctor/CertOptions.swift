// SPDX-License-Identifier: Apache-2.0
public import TLS

extension NameScope {
    /// What `sluice cert` has to be given so that an authority which it makes may sign for these names, with a blank
    /// behind each word; empty where it may by itself, or where they are no names.
    public static func options(for names: [String]) -> String {
        guard let refused = try? NameScope.local(more: []).refused(names) else { return "" }
        var options = ""
        for name in refused {
            // An address is no name that can be permitted.
            let bare = name.lowercased().filter { $0 != "[" && $0 != "]" }
            if AddressSpace(bare) != nil { return "--any-name " }
            options += "--permit \(bare.hasPrefix("*.") ? String(bare.dropFirst(2)) : bare) "
        }
        return options
    }
}
