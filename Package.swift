// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0
import PackageDescription

// Imports only point down the rows; `LayoutTests` checks what each target may import.
let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
]

/// Targets that turn bytes into meaning and do no I/O: every unsafe expression is spelled out.
let pure: [SwiftSetting] = strict + [.strictMemorySafety()]

let package = Package(
    name: "sluice",
    products: [
        .executable(name: "sluice", targets: ["sluice"]),
        .executable(name: "Bench", targets: ["Bench"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
    ],
    targets: [
        // Row 0: system libraries.
        .systemLibrary(name: "CLinux"),
        .systemLibrary(
            name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
        // Declarations alone: the library is opened at start where it is installed.
        .systemLibrary(name: "CIPSecMB"),
        .systemLibrary(
            name: "CAres", pkgConfig: "libcares", providers: [.apt(["libc-ares-dev"])]),
        .systemLibrary(
            name: "CQREncode", pkgConfig: "libqrencode", providers: [.apt(["libqrencode-dev"])]),
        .systemLibrary(
            name: "CNghttp2", pkgConfig: "libnghttp2", providers: [.apt(["libnghttp2-dev"])]),
        .systemLibrary(name: "CCrypt", providers: [.apt(["libcrypt-dev"])]),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        // Opened where a configuration needs it, so linked with nothing.
        .systemLibrary(name: "CCurl", providers: [.apt(["libcurl4-openssl-dev"])]),

        // The form in which state goes to another process.
        .target(name: "Serialization", swiftSettings: strict),

        // Row 1: tools that know nothing of the proxy, each alone.
        .target(name: "Wire", dependencies: ["Serialization"], swiftSettings: pure),
        .target(name: "Router", swiftSettings: pure),
        // What is counted, and how it is told.
        .target(name: "Metrics", swiftSettings: strict),
        .target(
            name: "Config", dependencies: [.product(name: "Yams", package: "Yams")],
            swiftSettings: pure),
        .target(
            name: "Reactor", dependencies: ["CLinux", "Serialization"], swiftSettings: strict),
        .target(
            name: "TLS", dependencies: ["CIPSecMB", "COpenSSL", "Serialization"],
            swiftSettings: strict),
        // One HTTP/2 connection: bytes in, bytes out.
        .target(name: "HTTP2", dependencies: ["CNghttp2"], swiftSettings: strict),
        .target(name: "QRCode", dependencies: ["CQREncode"], swiftSettings: strict),
        // What a tap tells: its lines, for people, programs and files.
        .target(name: "Tap", dependencies: ["CZlib"], swiftSettings: strict),

        // Row 2: the words that rooms share.
        .target(
            name: "Ledger", dependencies: ["Router", "Wire", "Reactor", "TLS"],
            swiftSettings: strict),

        // Who may use a route: what is asked, and what is known of those who answer.
        .target(
            name: "Access", dependencies: ["CCrypt", "Reactor", "TLS"], swiftSettings: strict),

        // Row 3: relays between two connections, and names.
        .target(
            name: "Splice",
            dependencies: ["Ledger", "Metrics", "Wire", "Reactor", "TLS", "Serialization"],
            swiftSettings: strict),
        .target(
            name: "Naming", dependencies: ["CAres", "Ledger", "Reactor"], swiftSettings: strict),

        // Row 4: the life of a request.
        .target(name: "Proxy", swiftSettings: pure),

        // Row 5: the engine, and beside it what may wait.
        .target(
            name: "Frontend",
            dependencies: [
                "Access", "Proxy", "Splice", "Ledger", "Metrics", "Router", "Wire", "Reactor",
                "TLS",
                "HTTP2", "Serialization",
            ],
            swiftSettings: strict),
        .target(name: "Log", dependencies: ["Ledger", "Reactor", "TLS"], swiftSettings: strict),
        .target(
            name: "Traces", dependencies: ["CCurl", "Ledger", "Wire", "Reactor", "TLS"],
            swiftSettings: strict),
        // Keys that tokens are judged by, fetched from those who sign them.
        .target(
            name: "Issuers", dependencies: ["Access", "CCurl", "Ledger", "Reactor"],
            swiftSettings: strict),
        .target(
            name: "Health", dependencies: ["Ledger", "Router", "Wire", "Reactor", "TLS"],
            swiftSettings: strict),
        .target(
            name: "Admin", dependencies: ["Ledger", "Wire", "Reactor", "TLS"],
            resources: [.embedInCode("Resources/dashboard.html")], swiftSettings: strict),
        .target(name: "Trust", dependencies: ["TLS"], swiftSettings: strict),
        .target(name: "Doctor", dependencies: ["Wire", "TLS", "HTTP2"], swiftSettings: strict),

        // Row 6: what is served, and what is decided about it.
        .target(
            name: "Service",
            dependencies: [
                "Frontend", "Log", "Traces", "Health", "Admin", "Naming", "Splice", "Ledger",
                "Access", "Issuers", "Metrics",
                "Router",
                "Wire",
                "Reactor", "TLS", "Config", "Serialization", "Tap",
            ],
            swiftSettings: strict),

        // Row 7: the program.
        .executableTarget(
            name: "sluice",
            dependencies: [
                "Service", "Log", "Admin", "Doctor", "Trust", "Echo", "Ledger", "Reactor", "TLS",
                "QRCode", "Config", "Tap", "LoadGenerator",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: strict),

        // Beside the rows: an echo app to try Sluice with,
        .target(name: "Echo", dependencies: ["Wire", "Reactor", "TLS"], swiftSettings: strict),
        // load for the benchmarks, peers for the tests.
        .target(
            name: "LoadGenerator",
            dependencies: [
                "Config", "Tap", "Wire", "Reactor", "TLS", "HTTP2",
                .product(name: "Histogram", package: "hdrhistogram-swift"),
            ],
            swiftSettings: strict),
        .executableTarget(
            name: "Bench",
            dependencies: [
                "LoadGenerator", "Echo", "Access", "Reactor", "Wire", "Router", "TLS",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: strict),
        .target(name: "TestKit", dependencies: ["Wire", "Reactor", "TLS"], swiftSettings: strict),
        // Properties that hold for all bytes, and the program that looks for bytes that break them.
        .target(
            name: "FuzzTargets",
            dependencies: ["Access", "Naming", "Proxy", "Wire", "TLS", "HTTP2", "Config"],
            swiftSettings: strict),
        .executableTarget(name: "Fuzz", dependencies: ["FuzzTargets"], swiftSettings: strict),

        .testTarget(
            name: "WireTests", dependencies: ["Wire", "FuzzTargets", "TestKit"],
            swiftSettings: strict),
        .testTarget(
            name: "SerializationTests", dependencies: ["Serialization"], swiftSettings: strict),
        .testTarget(
            name: "RouterTests", dependencies: ["Router", "TestKit"], swiftSettings: strict),
        .testTarget(name: "ConfigTests", dependencies: ["Config"], swiftSettings: strict),
        .testTarget(name: "MetricsTests", dependencies: ["Metrics"], swiftSettings: strict),
        .testTarget(
            name: "NamingTests", dependencies: ["Naming", "Ledger", "Reactor", "TestKit"],
            swiftSettings: strict),
        .testTarget(
            name: "HTTP2Tests", dependencies: ["HTTP2", "CNghttp2", "TestKit"],
            exclude: ["Foreign"],
            swiftSettings: strict),
        .testTarget(name: "QRCodeTests", dependencies: ["QRCode"], swiftSettings: strict),
        .testTarget(name: "TapTests", dependencies: ["Tap", "CZlib"], swiftSettings: strict),
        .testTarget(
            name: "ReactorTests", dependencies: ["Reactor", "TestKit"], swiftSettings: strict),
        .testTarget(
            name: "TLSTests", dependencies: ["TLS", "CIPSecMB", "COpenSSL", "TestKit"],
            swiftSettings: strict),
        .testTarget(
            name: "AccessTests", dependencies: ["Access", "COpenSSL", "Reactor", "TLS", "TestKit"],
            swiftSettings: strict),
        .testTarget(
            name: "IssuersTests",
            dependencies: ["Issuers", "Access", "Ledger", "Reactor", "TestKit"],
            swiftSettings: strict),
        .testTarget(
            name: "SpliceTests",
            dependencies: ["Splice", "Ledger", "Metrics", "Wire", "TLS", "Reactor", "TestKit"],
            swiftSettings: strict),
        .testTarget(
            name: "ProxyTests", dependencies: ["Proxy", "FuzzTargets", "TestKit"],
            swiftSettings: strict),
        .testTarget(
            name: "FrontendTests",
            dependencies: [
                "Frontend", "HTTP2", "Metrics", "Proxy", "Splice", "Ledger", "Echo", "Wire",
                "Router",
                "Reactor", "Serialization",
                "TLS", "TestKit",
            ],
            swiftSettings: strict),
        .testTarget(
            name: "LogTests", dependencies: ["Log", "Ledger", "Wire", "Reactor", "TLS", "TestKit"],
            swiftSettings: strict),
        .testTarget(
            name: "TracesTests",
            dependencies: ["Traces", "Ledger", "Wire", "Reactor", "TLS", "TestKit"],
            swiftSettings: strict),
        .testTarget(
            name: "HealthTests",
            dependencies: ["Health", "Ledger", "Router", "Wire", "Reactor", "TestKit"],
            swiftSettings: strict),
        .testTarget(
            name: "AdminTests", dependencies: ["Admin", "Ledger", "Wire", "Reactor", "TestKit"],
            swiftSettings: strict
        ),
        .testTarget(
            name: "ServiceTests",
            dependencies: [
                "Service", "Admin", "Config", "Frontend", "Health", "Issuers", "Log", "Naming",
                "Splice",
                "Ledger", "Metrics", "Router", "Traces", "Wire", "Reactor", "TLS", "TestKit",
            ],
            swiftSettings: strict),
        .testTarget(
            name: "DoctorTests", dependencies: ["Doctor", "TLS", "TestKit"],
            swiftSettings: strict),
        .testTarget(
            name: "TrustTests", dependencies: ["Trust", "TLS", "TestKit"], swiftSettings: strict),
        .testTarget(
            name: "EchoTests", dependencies: ["Echo", "Reactor", "TestKit"], swiftSettings: strict),
        .testTarget(
            name: "LoadGeneratorTests",
            dependencies: [
                "LoadGenerator", "Config", "Echo", "Reactor", "TLS", "TestKit",
                .product(name: "Histogram", package: "hdrhistogram-swift"),
            ],
            swiftSettings: strict),
        .testTarget(
            name: "sluiceTests",
            dependencies: [
                "sluice", "Admin", "Config", "Doctor", "LoadGenerator", "Reactor", "TLS", "TestKit",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: strict),
        .testTarget(
            name: "IntegrationTests", dependencies: ["TestKit", "Wire", "TLS", "Tap"],
            exclude: ["Foreign"],
            swiftSettings: strict),
        .testTarget(
            name: "FuzzTargetsTests", dependencies: ["FuzzTargets", "TestKit"], exclude: ["Corpus"],
            swiftSettings: strict),
        .testTarget(name: "LayoutTests", swiftSettings: strict),
    ]
)
