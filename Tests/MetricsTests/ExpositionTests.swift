// SPDX-License-Identifier: Apache-2.0
import Metrics
import Testing

@Suite struct ExpositionTests {
    private let opened = MetricFamily(
        "app_opened_total", .counter, ["route", "by"], "What was opened")
    private let open = MetricFamily("app_open", .gauge, [], "What is \"open\" \\ now\nhere")
    private let took = MetricFamily("app_took_seconds", .histogram, ["route"], "How long it took")
    private let build = MetricFamily("app_build_info", .info, ["version"], "What runs")

    private func text(_ readings: MetricReadings, _ form: Exposition = .text) -> String {
        String(decoding: form.bytes(of: readings, [opened, open, took, build]), as: UTF8.self)
    }

    @Test func `counters and gauges have a line for each series`() {
        var readings = MetricReadings()
        readings.add(opened, ["/a", "client"], count: 2)
        readings.add(opened, ["/b", ""], count: 3)
        readings.add(open, value: 1.5)
        #expect(
            text(readings) == """
                # HELP app_opened_total What was opened
                # TYPE app_opened_total counter
                app_opened_total{route="/a",by="client"} 2
                app_opened_total{route="/b",by=""} 3
                # HELP app_open What is "open" \\\\ now\\nhere
                # TYPE app_open gauge
                app_open 1.5

                """)
    }

    @Test func `what several have counted of one series is summed`() {
        var readings = MetricReadings()
        readings.add(opened, ["/a", "client"], count: 2)
        readings.add(opened, ["/a", "client"], count: 40)
        readings.add(took, ["/a"], HistogramReading(bounds: [1], counts: [1, 0], sum: 1))
        readings.add(took, ["/a"], HistogramReading(bounds: [1], counts: [0, 1], sum: 2))
        #expect(readings.number(opened, ["/a", "client"]) == 42)
        #expect(text(readings).contains("app_took_seconds_count{route=\"/a\"} 2\n"))
        #expect(text(readings).contains("app_took_seconds_sum{route=\"/a\"} 3\n"))
    }

    @Test func `what is all of its series is written like what is summed`() {
        var summed = MetricReadings()
        var appended = MetricReadings()
        let reading = HistogramReading(bounds: [1], counts: [1, 1], sum: 3)
        summed.add(opened, ["/a", "client"], count: UInt64(1) << 53)
        appended.append(opened, ["/a", "client"], count: UInt64(1) << 53)
        summed.add(took, ["/a"], reading)
        appended.append(took, ["/a"], reading)
        #expect(text(appended) == text(summed))
        #expect(appended.number(opened, ["/a", "client"]) == 9_007_199_254_740_992)
    }

    @Test func `buckets of a histogram hold all that is not longer`() {
        var readings = MetricReadings()
        readings.add(
            took, ["/a"],
            HistogramReading(bounds: [0.005, 1, 2.5], counts: [1, 2, 0, 4], sum: 9.25))
        #expect(
            text(readings) == """
                # HELP app_took_seconds How long it took
                # TYPE app_took_seconds histogram
                app_took_seconds_bucket{route="/a",le="0.005"} 1
                app_took_seconds_bucket{route="/a",le="1.0"} 3
                app_took_seconds_bucket{route="/a",le="2.5"} 3
                app_took_seconds_bucket{route="/a",le="+Inf"} 7
                app_took_seconds_sum{route="/a"} 9.25
                app_took_seconds_count{route="/a"} 7

                """)
    }

    @Test(arguments: [
        ("a\"b", #"a\"b"#), ("a\\b", #"a\\b"#), ("a\nb", #"a\nb"#), ("\\n", #"\\n"#),
        ("é/ü {x=\"1\"}", #"é/ü {x=\"1\"}"#),
        (
            String(decoding: [0x61, 0xFF, 0xC3, 0x22] as [UInt8], as: UTF8.self),
            "a\u{FFFD}\u{FFFD}\\\""
        ),
    ])
    func `a label's value can't end its line or its quotes`(value: String, written: String) {
        for form in [Exposition.text, .openMetrics] {
            var readings = MetricReadings()
            readings.add(opened, [value, value], count: 1)
            let lines = text(readings, form).split(separator: "\n")
            #expect(lines[2] == "app_opened_total{route=\"\(written)\",by=\"\(written)\"} 1")
        }
    }

    @Test func `OpenMetrics names the family without its ending, and says where it ends`() {
        var readings = MetricReadings()
        readings.add(opened, ["/a", "client"], count: 2)
        readings.add(open, value: 3)
        readings.add(build, ["1.0"], value: 1)
        #expect(
            text(readings, .openMetrics) == """
                # HELP app_opened What was opened
                # TYPE app_opened counter
                app_opened_total{route="/a",by="client"} 2
                # HELP app_open What is \\"open\\" \\\\ now\\nhere
                # TYPE app_open gauge
                app_open 3
                # HELP app_build What runs
                # TYPE app_build info
                app_build_info{version="1.0"} 1
                # EOF

                """)
        #expect(text(readings).contains("# TYPE app_build_info gauge\n"))
    }

    @Test func `nothing is written of families that have no values`() {
        #expect(text(MetricReadings()) == "")
        #expect(text(MetricReadings(), .openMetrics) == "# EOF\n")
    }

    @Test func `numbers are written so that they can be read again`() {
        var readings = MetricReadings()
        for (index, number) in [0.1, 1e300, -3, 9_007_199_254_740_992, .infinity, .nan].enumerated()
        {
            readings.add(opened, ["\(index)", ""], value: number)
        }
        let numbers = text(readings).split(separator: "\n").dropFirst(2).compactMap {
            $0.split(separator: " ").last
        }
        #expect(numbers == ["0.1", "1e+300", "-3", "9007199254740992", "+Inf", "NaN"])
    }

    @Test(arguments: [
        ("", Exposition.text), ("*/*", .text), ("text/plain", .text),
        ("application/openmetrics-text", .openMetrics),
        ("application/openmetrics-text; version=1.0.0; charset=utf-8", .openMetrics),
        ("application/openmetrics-text;version=2.0.0", .text),
        ("application/openmetrics-text;q=0", .text),
        ("Application/OpenMetrics-Text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.9", .text),
        (
            "application/openmetrics-text;version=1.0.0;q=0.8,application/openmetrics-text;version=0.0.1;q=0.75,"
                + "text/plain;version=0.0.4;q=0.5,*/*;q=0.1", .openMetrics
        ),
        (";;;,,;q=,=", .text), ("application/openmetrics-text;q=nonsense", .text),
    ])
    func `the form is the one that is wanted most`(accept: String, form: Exposition) {
        #expect(Exposition(accept: accept) == form)
    }
}
