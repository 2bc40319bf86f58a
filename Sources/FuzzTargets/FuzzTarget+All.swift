// SPDX-License-Identifier: Apache-2.0

extension FuzzTarget {
    /// Every target; each stands in a file of its own in `Targets`, which a test checks.
    public static let all: [FuzzTarget] = [
        .bodyDecoder, .configuration, .frameScanner, .http2Connection, .proxyHeader, .recordLayer,
        .requestHead, .requestLife, .responseHead, .serviceAnswer, .signedToken, .traceContext,
    ]

    /// The target of that name, if there is one.
    public static func named(_ name: String) -> FuzzTarget? {
        all.first { $0.name == name }
    }
}
