// SPDX-License-Identifier: Apache-2.0
import Admin
import ArgumentParser

/// What the table of `sluice top` lists.
enum TopView: String, CaseIterable, ExpressibleByArgument {
    case routes, endpoints, relays, clients

    /// The words by which its rows can be sorted; the first one is the usual.
    var orders: [String] {
        switch self {
        case .routes: ["messages", "bytes", "relays", "opened", "requests", "errors", "name"]
        case .endpoints: ["relays", "failures", "state", "name"]
        case .relays: LiveQuery.Order.allCases.map(\.rawValue)
        case .clients: ["bytes", "messages", "relays", "name"]
        }
    }
}

/// What somebody wants to see, as keys and options say it.
struct TopWish: Equatable {
    var view = TopView.routes
    /// One of the view's `orders`.
    var order = TopView.routes.orders[0]
    var isReversed = false
    /// Words that all have to be found in a row.
    var filter = ""
    /// Whether what is typed goes to the filter.
    var isTyping = false
    var isPaused = false
    /// Rows that were scrolled away.
    var offset = 0
    /// Whether the program is to end.
    var isOver = false

    mutating func show(_ view: TopView) {
        guard view != self.view else { return }
        self.view = view
        order = view.orders[0]
        isReversed = false
        offset = 0
    }

    /// What is asked for at `GET /live`: relays are chosen there, since there may be more than are sent.
    func target(relays count: Int) -> String {
        guard view == .relays else { return "/live?limit=0" }
        var target = "/live?limit=\(min(max(count, 1), LiveQuery.limitMax))&sort=\(order)"
        let words = Self.bounded(filter)
        if !words.isEmpty { target += "&filter=" + Self.escaped(words) }
        return target
    }

    /// As much of a filter as may be asked for.
    private static func bounded(_ text: String) -> String {
        var text = text
        while text.utf8.count > LiveQuery.filterBytesMax { text.removeLast() }
        return text
    }

    /// Text in a query (RFC 3986 §3.4).
    private static func escaped(_ text: String) -> String {
        let digits = Array("0123456789ABCDEF")
        return text.utf8.map { byte in
            let scalar = Character(UnicodeScalar(byte))
            let isPlain =
                byte < 0x80 && (scalar.isLetter || scalar.isNumber || "-._~".contains(scalar))
            return isPlain ? "\(scalar)" : "%\(digits[Int(byte >> 4)])\(digits[Int(byte & 15)])"
        }.joined()
    }

    /// Whether all words of the filter stand in a text, in any case of letters.
    func matches(_ text: String) -> Bool {
        let text = text.lowercased()
        return filter.lowercased().split(separator: " ").allSatisfy { text.contains($0) }
    }

    // MARK: Keys

    /// Does what a key asks for; whether anything is to be shown or asked anew.
    mutating func take(_ key: TopKey, rows: Int) -> Bool {
        let before = self
        if isTyping { type(key) } else { command(key, rows) }
        return self != before
    }

    private mutating func type(_ key: TopKey) {
        offset = 0
        switch key {
        case .character(let character) where !character.isNewline: filter.append(character)
        case .backspace: if !filter.isEmpty { filter.removeLast() }
        case .enter: isTyping = false
        case .escape:
            isTyping = false
            filter = ""
        case .interrupt: isOver = true
        default: break
        }
    }

    private mutating func command(_ key: TopKey, _ rows: Int) {
        switch key {
        case .character("q"), .character("Q"), .interrupt: isOver = true
        case .character("1"), .character("r"): show(.routes)
        case .character("2"), .character("e"): show(.endpoints)
        case .character("3"), .character("l"): show(.relays)
        case .character("4"), .character("c"): show(.clients)
        case .tab: show(next(TopView.allCases, behind: view))
        case .character("s"): order = next(view.orders, behind: order)
        case .character("S"): isReversed.toggle()
        case .character("/"): isTyping = true
        case .character("p"), .character(" "): isPaused.toggle()
        case .escape: filter = ""
        case .down, .character("j"): offset += 1
        case .up, .character("k"): offset = max(0, offset - 1)
        case .pageDown: offset += max(1, rows)
        case .pageUp: offset = max(0, offset - max(1, rows))
        case .home: offset = 0
        default: break
        }
    }

    private func next<Item: Equatable>(_ all: [Item], behind item: Item) -> Item {
        let index = all.firstIndex(of: item) ?? all.count - 1
        return all[(index + 1) % all.count]
    }
}

/// A key, as a terminal sends it.
enum TopKey: Equatable {
    case character(Character)
    case enter, escape, backspace, tab, up, down, pageUp, pageDown, home
    /// Ctrl-C.
    case interrupt
    /// Ctrl-Z.
    case suspend
    /// One that means nothing here.
    case other

    /// The keys in what was read.
    ///
    /// What a terminal sends for one key comes in one piece: ESC alone is the key of that name.
    static func keys(in bytes: [UInt8]) -> [TopKey] {
        var keys: [TopKey] = []
        var rest = bytes[...]
        while let byte = rest.first {
            if byte == 0x1B, rest.count > 1,
                rest.dropFirst().first == UInt8(ascii: "[")
                    || rest.dropFirst().first == UInt8(ascii: "O")
            {
                let sequence = rest.dropFirst(2)
                let parameters = sequence.prefix { !(0x40...0x7E).contains($0) }
                let final = sequence.dropFirst(parameters.count).first
                keys.append(named(Array(parameters), final))
                rest = sequence.dropFirst(parameters.count + 1)
                continue
            }
            if byte < 0x20 || byte == 0x7F {
                keys.append(control(byte))
                rest = rest.dropFirst()
                continue
            }
            let text = rest.prefix { $0 >= 0x20 && $0 != 0x7F }
            keys += String(decoding: text, as: UTF8.self).map { .character($0) }
            rest = rest.dropFirst(text.count)
        }
        return keys
    }

    private static func control(_ byte: UInt8) -> TopKey {
        switch byte {
        case 3: .interrupt
        case 9: .tab
        case 10, 13: .enter
        case 8, 0x7F: .backspace
        case 26: .suspend
        case 0x1B: .escape
        default: .other
        }
    }

    /// ECMA-48 sequences, as xterm and the Linux console send them.
    private static func named(_ parameters: [UInt8], _ final: UInt8?) -> TopKey {
        switch (String(decoding: parameters, as: UTF8.self), final.map { UnicodeScalar($0) }) {
        case ("", "A"): .up
        case ("", "B"): .down
        case ("", "H"), ("1", "~"), ("7", "~"): .home
        case ("5", "~"): .pageUp
        case ("6", "~"): .pageDown
        default: .other
        }
    }
}
