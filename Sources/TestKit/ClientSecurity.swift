// SPDX-License-Identifier: Apache-2.0

/// Whether a client peer speaks TLS, and as whom it wants to see the proxy.
public enum ClientSecurity: Sendable {
    /// Plain TCP.
    case plain

    func makeRecords() throws -> (any RecordLayer)? {
        nil
    }
}
