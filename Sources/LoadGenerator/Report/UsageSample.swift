// SPDX-License-Identifier: Apache-2.0

/// What the watched processes have used at the moments that matter.
struct UsageSample {
    let watch: ProcessWatch
    private var residentBefore: UInt64 = 0
    private var residentAfter: UInt64 = 0
    private var cpuAtStart: UInt64 = 0
    private var cpuWhenOpened: UInt64 = 0
    private var cpuBefore: UInt64 = 0
    private var cpuAfter: UInt64 = 0

    init(watch: ProcessWatch) {
        self.watch = watch
    }

    /// Before the first connection.
    mutating func begin() {
        residentBefore = watch.residentKilobytes()
        cpuAtStart = watch.cpuNanoseconds()
    }

    /// All connections are open.
    mutating func noteOpened() {
        cpuWhenOpened = watch.cpuNanoseconds()
    }

    mutating func beginMeasuring() {
        cpuBefore = watch.cpuNanoseconds()
    }

    /// The measured part is over; of idle connections it is their opening that cost CPU time.
    mutating func endMeasuring(isOpeningMeasured: Bool) {
        cpuAfter = watch.cpuNanoseconds()
        residentAfter = watch.residentKilobytes()
        if isOpeningMeasured {
            cpuBefore = cpuAtStart
            cpuAfter = cpuWhenOpened
        }
    }

    /// Adds what was used to a report that has its counts.
    func fill(_ report: inout LoadReport, mode: LoadPlan.Mode) {
        guard !watch.processes.isEmpty else { return }
        let cpu = Double(cpuAfter > cpuBefore ? cpuAfter - cpuBefore : 0)
        report.cpuSeconds = cpu / 1e9
        if report.messages > 0 {
            report.cpuMicrosecondsPerMessage = cpu / 1e3 / Double(report.messages)
        }
        if report.megabytes > 0 {
            report.cpuMicrosecondsPerMegabyte = cpu / 1e3 / report.megabytes
        }
        // Of idle connections the opening was measured, which took another time than the holding.
        if mode != .idle && report.seconds > 0 { report.cpuShare = cpu / 1e9 / report.seconds }
        if report.messages == 0 && report.handshakes > 0 {
            report.cpuMicrosecondsPerConnection = cpu / 1e3 / Double(report.handshakes)
        }
        report.residentKilobytesBefore = residentBefore
        report.residentKilobytes = residentAfter
        if report.opened > 0 {
            let growth = Double(residentAfter) - Double(residentBefore)
            report.residentBytesPerConnection = growth * 1024 / Double(report.opened)
        }
    }
}

extension LoadReport {
    /// Takes over what was counted.
    mutating func fill(from meter: LoadMeter, mode: LoadPlan.Mode) {
        switch mode {
        case .echo: self.mode = "echo"
        case .rate: self.mode = "rate"
        case .stream: self.mode = "stream"
        case .connect: self.mode = "connect"
        case .idle: self.mode = "idle"
        case .cycle: self.mode = "cycle"
        case .closed: self.mode = "closed"
        case .push: self.mode = "push"
        case .storm: self.mode = "storm"
        case .script: self.mode = "script"
        }
        switch mode {
        case .connect, .cycle, .storm:
            handshakes = meter.count
            handshakesPerSecond = seconds > 0 ? Double(handshakes) / seconds : 0
        case .echo, .rate, .stream, .idle, .closed, .push, .script:
            handshakes = UInt64(opened)
            messages = meter.count
            messagesPerSecond = seconds > 0 ? Double(messages) / seconds : 0
            megabytes = Double(meter.payloadBytes) / 1e6
            megabytesPerSecond = seconds > 0 ? megabytes / seconds : 0
        }
        p50Microseconds = meter.microseconds(atPercentile: 50)
        p90Microseconds = meter.microseconds(atPercentile: 90)
        p99Microseconds = meter.microseconds(atPercentile: 99)
        p999Microseconds = meter.microseconds(atPercentile: 99.9)
        maxMicroseconds = meter.maxMicroseconds
        resumed = meter.resumed
        errors = meter.errors
        firstError = meter.firstError
        tlsVersion = meter.tlsVersion
        cipher = meter.cipher
    }
}
