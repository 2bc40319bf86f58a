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
        .systemLibrary(
            name: "CAres", pkgConfig: "libcares", providers: [.apt(["libc-ares-dev"])]),
        .systemLibrary(
            name: "CQREncode", pkgConfig: "libqrencode", providers: [.apt(["libqrencode-dev"])]),

        // Row 1: tools that know nothing of the proxy, each alone.
        .target(name: "Wire", swiftSettings: pure),
        .target(name: "Router", swiftSettings: pure),
        .target(
            name: "Config", dependencies: [.product(name: "Yams", package: "Yams")],
            swiftSettings: pure),
        .target(name: "Reactor", dependencies: ["CLinux"], swiftSettings: strict),
        .target(name: "TLS", dependencies: ["COpenSSL"], swiftSettings: strict),
        .target(name: "QRCode", dependencies: ["CQREncode"], swiftSettings: strict),

        // Rows 2 to 4: the rooms.
        .target(
            name: "Splice", dependencies: ["Wire", "Reactor", "TLS"], swiftSettings: strict),
        .target(name: "Naming", dependencies: ["CAres", "Reactor"], swiftSettings: strict),
        .target(
            name: "Frontend", dependencies: ["Splice", "Router", "Wire", "Reactor", "TLS"],
            swiftSettings: strict),
        .target(
            name: "Control",
            dependencies: ["Frontend", "Naming", "Splice", "Router", "Wire", "Reactor", "TLS"],
            swiftSettings: strict),
        .target(name: "Trust", dependencies: ["TLS"], swiftSettings: strict),
        .target(name: "Doctor", dependencies: ["Wire", "TLS"], swiftSettings: strict),

        // Row 5: the program.
        .executableTarget(
            name: "sluice",
            dependencies: [
                "Control", "Doctor", "Trust", "Frontend", "Naming", "Splice", "Echo", "Router",
                "Wire", "Reactor", "TLS", "QRCode", "Config",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: strict),

        // Beside the rows: an echo app to try Sluice with,
        .target(name: "Echo", dependencies: ["Wire", "Reactor", "TLS"], swiftSettings: strict),
        // load for the benchmarks, peers for the tests.
        .target(
            name: "LoadGenerator",
            dependencies: [
                "Wire", "Reactor", "TLS",
                .product(name: "Histogram", package: "hdrhistogram-swift"),
            ],
            swiftSettings: strict),
        .executableTarget(
            name: "Bench",
            dependencies: [
                "LoadGenerator", "Echo", "Wire", "Router",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: strict),
        .target(name: "TestKit", dependencies: ["Wire", "Reactor", "TLS"], swiftSettings: strict),
        // Properties that hold for all bytes, and the program that looks for bytes that break them.
        .target(
            name: "FuzzTargets", dependencies: ["Naming", "Wire", "TLS", "Config"],
            swiftSettings: strict),
        .executableTarget(name: "Fuzz", dependencies: ["FuzzTargets"], swiftSettings: strict),

        .testTarget(
            name: "WireTests", dependencies: ["Wire", "FuzzTargets"], swiftSettings: strict),
        .testTarget(name: "RouterTests", dependencies: ["Router"], swiftSettings: strict),
        .testTarget(name: "ConfigTests", dependencies: ["Config"], swiftSettings: strict),
        .testTarget(name: "NamingTests", dependencies: ["Naming"], swiftSettings: strict),
        .testTarget(name: "QRCodeTests", dependencies: ["QRCode"], swiftSettings: strict),
        .testTarget(name: "ReactorTests", dependencies: ["Reactor"], swiftSettings: strict),
        .testTarget(
            name: "TLSTests", dependencies: ["TLS", "COpenSSL", "TestKit"], swiftSettings: strict),
        .testTarget(
            name: "SpliceTests", dependencies: ["Splice", "Wire", "TLS", "Reactor", "TestKit"],
            swiftSettings: strict),
        .testTarget(
            name: "FrontendTests",
            dependencies: [
                "Frontend", "Splice", "Echo", "Wire", "Router", "Reactor", "TLS", "TestKit",
            ],
            swiftSettings: strict),
        .testTarget(
            name: "ControlTests",
            dependencies: [
                "Control", "Frontend", "Naming", "Splice", "Wire", "Router", "Reactor", "TLS",
                "TestKit",
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
            dependencies: ["LoadGenerator", "Echo", "Reactor", "TLS", "TestKit"],
            swiftSettings: strict),
        .testTarget(
            name: "sluiceTests",
            dependencies: [
                "sluice", "Control", "Config", "Frontend", "Naming", "Splice", "Router", "Wire",
                "Reactor",
                "TLS",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: strict),
        .testTarget(
            name: "IntegrationTests", dependencies: ["TestKit", "Wire", "TLS"],
            exclude: ["Foreign"],
            swiftSettings: strict),
        .testTarget(
            name: "FuzzTargetsTests", dependencies: ["FuzzTargets"], exclude: ["Corpus"],
            swiftSettings: strict),
        .testTarget(name: "LayoutTests", swiftSettings: strict),
    ]
)
