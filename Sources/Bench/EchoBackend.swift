// SPDX-License-Identifier: Apache-2.0
import Echo

/// The echo app, started from what the command line says.
struct EchoBackend {
    private let server: EchoServer

    init(listen: [String], cpu: Int?) throws {
        server = try EchoServer.start(listening: listen, cpu: cpu)
    }

    var addresses: [String] { server.addresses.map { "\($0)" } }
}
