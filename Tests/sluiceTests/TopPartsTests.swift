// SPDX-License-Identifier: Apache-2.0
import Admin
import Testing

@testable import sluice

@Suite struct TopPartsTests {
    private static func state(_ routes: [String: UInt64], at milliseconds: UInt64) -> LiveState {
        var state = LiveState()
        state.pid = 7
        state.clockMilliseconds = milliseconds
        state.process.cpuSeconds = Double(milliseconds) / 2_000
        for (name, messages) in routes.sorted(by: { $0.key < $1.key }) {
            var route = LiveRoute(name: name, to: "app")
            route.traffic.upMessages = messages
            state.routes.append(route)
            state.totals.traffic.upMessages += messages
        }
        state.routeCount = routes.count
        return state
    }

    @Test func `rates are differences over the time between two looks`() {
        let first = TopLook(Self.state(["/a": 100], at: 1_000), after: nil)
        #expect(first.rates == nil && first.seconds == nil && first.cores == nil)
        let second = TopLook(Self.state(["/a": 400, "/b": 9], at: 3_000), after: first.state)
        #expect(second.seconds == 2)
        #expect(second.rates?.upMessages == 154.5 && second.cores == 0.5)
        #expect(second.rates(of: second.state.routes[0])?.messages == 150)
        #expect(second.rates(of: second.state.routes[1]) == nil, "it was not there before")
        // Counters that have begun anew, and another process.
        let less = TopLook(Self.state(["/a": 1], at: 4_000), after: second.state)
        #expect(less.rates?.upMessages == 0)
        var other = Self.state(["/a": 900], at: 5_000)
        other.pid = 8
        #expect(TopLook(other, after: second.state).rates == nil)
        #expect(TopLook(second.state, after: second.state).rates == nil)
    }

    @Test(arguments: [
        ([0x71], [TopKey.character("q")]), ([0x1B], [.escape]), ([0x1B, 0x5B, 0x41], [.up]),
        ([0x1B, 0x4F, 0x42], [.down]), ([0x1B, 0x5B, 0x35, 0x7E], [.pageUp]),
        ([0x1B, 0x5B, 0x31, 0x3B, 0x35, 0x43], [.other]),
        ([0xC3, 0xA9, 0x0D], [.character("é"), .enter]),
        ([3, 26, 9, 0x7F, 8, 1], [.interrupt, .suspend, .tab, .backspace, .backspace, .other]),
        ([0x1B, 0x5B], [.other]),
        ([0x1B, 0x1B, 0x5B, 0x42, 0x78], [.escape, .down, .character("x")]),
        ([0xFF, 0x31], [.character("\u{FFFD}"), .character("1")]), ([], []),
    ])
    func `bytes of a terminal are keys`(bytes: [UInt8], keys: [TopKey]) {
        #expect(TopKey.keys(in: bytes) == keys)
    }

    @Test func `what a filter holds is escaped where it is asked for, and no longer than allowed`()
    {
        var wish = TopWish()
        #expect(wish.target(relays: 500) == "/live?limit=0")
        wish.show(.relays)
        #expect(wish.target(relays: 5_000) == "/live?limit=1000&sort=busiest")
        wish.filter = "a b&c=%é"
        #expect(wish.target(relays: 5) == "/live?limit=5&sort=busiest&filter=a%20b%26c%3D%25%C3%A9")
        wish.filter = String(repeating: "é", count: 200)
        #expect(wish.target(relays: 5).split(separator: "=").last?.count == 128 * 6)
        #expect(LiveQuery.Order.allCases.map(\.rawValue) == TopView.relays.orders)
    }

    @Test func `typing goes to the filter alone`() {
        var wish = TopWish()
        let keys = [
            TopKey.character("/"), .character("q"), .character("s"), .backspace, .up, .enter,
        ]
        for key in keys { _ = wish.take(key, rows: 10) }
        #expect(wish.filter == "q" && !wish.isTyping && !wish.isOver && wish.order == "messages")
        #expect(wish.matches("/QUOTES 1") && !wish.matches("/chat 1"))
        let isCleared = wish.take(.escape, rows: 10)
        #expect(isCleared && wish.filter.isEmpty)
        let isChanged = wish.take(.character("x"), rows: 10)
        #expect(!isChanged, "a key without a meaning changes nothing")
        for _ in 0..<3 { _ = wish.take(.down, rows: 10) }
        _ = wish.take(.pageDown, rows: 10)
        #expect(wish.offset == 13)
        _ = wish.take(.pageUp, rows: 20)
        #expect(wish.offset == 0)
    }

    @Test(arguments: [(80, 24), (120, 40), (40, 10), (12, 4), (1, 1), (3, 2)])
    func `a screen is as large as the terminal`(columns: Int, rows: Int) {
        let names = (0..<60).map { "/a/route/with/a/name/of/some/length/\($0)" }
        let all = Dictionary(uniqueKeysWithValues: names.map { ($0, UInt64($0.count)) })
        let look = TopLook(Self.state(all, at: 2_000), after: Self.state([:], at: 1_000))
        for view in TopView.allCases {
            var wish = TopWish()
            wish.show(view)
            wish.offset = 1_000
            let lines = TopText.screen(look, wish, trouble: nil, columns: columns, rows: rows)
            #expect(lines.count == rows)
            #expect(lines.allSatisfy { $0.text.count <= columns })
        }
    }

    @Test func `several problems of a reload, and names with line ends, stay on their lines`() {
        var state = Self.state(["/a\nb\tc": 5], at: 2_000)
        state.configuration.lastProblem = "s.yaml:3:1: the first\ns.yaml:4:1: the second\u{9B}2J"
        let look = TopLook(state, after: Self.state(["/a\nb\tc": 0], at: 1_000))
        let lines = TopText.screen(look, TopWish(), trouble: nil, columns: 120, rows: 24)
        #expect(lines.count == 24)
        let problem = "the last reload failed: s.yaml:3:1: the first; s.yaml:4:1: the second"
        #expect(lines.contains { $0.text.hasPrefix(problem + "\\u{9b}2J") })
        #expect(lines.contains { $0.text.hasPrefix("/a\\nb\\tc ") })
        for line in lines {
            let isPlain = line.text.unicodeScalars.allSatisfy {
                $0.properties.generalCategory != .control
            }
            #expect(isPlain, "\(line.text)")
        }
    }

    @Test
    func `at 80 columns numbers of a route stand beside a name that is shortened at its beginning`()
    {
        let name = "*.example.com/a/route/with/a/long/name/that/ends/in/chat"
        let look = TopLook(
            Self.state([name: 1_000], at: 2_000), after: Self.state([name: 0], at: 1_000))
        let lines = TopText.screen(look, TopWish(), trouble: nil, columns: 80, rows: 24)
        #expect(
            lines[6].text.hasPrefix("ROUTE ") && lines[6].text.count == 80 && lines[6].isReversed)
        #expect(lines[7].text.hasPrefix("…") && lines[7].text.contains("/in/chat"))
        #expect(lines[7].text.contains(" 1000 "))
    }

    @Test func `rows that weigh the same stand by name, and control characters are shown`() {
        let routes = ["/b": UInt64(5), "/a\u{1B}[2J": 5, "/c": 90]
        let look = TopLook(
            Self.state(routes, at: 2_000),
            after: Self.state(["/b": 0, "/a\u{1B}[2J": 0, "/c": 0], at: 1_000))
        var wish = TopWish()
        let table = TopTable(look, wish)
        #expect(table.chosen(wish).map { $0.cells[0] } == ["/c", "/a\\u{1b}[2J", "/b"])
        wish.order = "name"
        #expect(table.chosen(wish).map { $0.cells[0] } == ["/a\\u{1b}[2J", "/b", "/c"])
        wish.isReversed = true
        #expect(table.chosen(wish).map { $0.cells[0] } == ["/c", "/b", "/a\\u{1b}[2J"])
    }

    @Test func `numbers are short`() {
        #expect(
            [0, 0.04, 0.26, 9.94, 9.96, 1_234.5].map { TopText.rate($0) } == [
                "0", "0.0", "0.3", "9.9", "10", "1235",
            ])
        #expect(
            TopText.rate(nil) == "-" && TopText.rate(.infinity) == "-"
                && TopText.rate(1e300).count == 16)
        #expect(
            [0, 59, 61, 3_599, 7_500, 90_000].map { TopText.duration($0) } == [
                "0s", "59s", "1m01s", "59m59s", "2h05m", "1d1h",
            ])
        #expect(TopText.size(1_500) == "1.5 kB" && TopText.size(nil) == "-")
        #expect(TopText.time(0.00123) == "1.2ms" && TopText.time(0.25) == "250ms")
    }
}
