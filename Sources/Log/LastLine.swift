// SPDX-License-Identifier: Apache-2.0
import Glibc
import Synchronization

/// The last line of a terminal, redrawn in place while other lines pass above it.
///
/// Whoever writes to that terminal does it through `above`, else the two mix.
public final class LastLine: Sendable {
    private static let eraseLine = "\r\u{1B}[K"

    private let descriptor: Int32
    private let text = Mutex("")

    /// A line of the terminal that this descriptor stands for; empty at first.
    public init(descriptor: Int32) { self.descriptor = descriptor }

    /// Shows another text, or the same where something else has drawn over it; it has to fit into one
    /// line of the terminal.
    public func show(_ new: String) {
        text.withLock { text in
            if text.isEmpty && new.isEmpty { return }
            text = new
            put(Self.eraseLine + new)
        }
    }

    /// Takes the line away.
    public func clear() { show("") }

    /// Has somebody write whole lines where this one stands, and puts it below them again.
    public func above(_ write: () -> Void) {
        text.withLock { text in
            if !text.isEmpty { put(Self.eraseLine) }
            write()
            if !text.isEmpty { put(text) }
        }
    }

    private func put(_ text: String) {
        var text = text
        text.withUTF8 { bytes in
            var rest = UnsafeRawBufferPointer(bytes)
            while let start = rest.baseAddress, !rest.isEmpty {
                let written = write(descriptor, start, rest.count)
                if written < 0 && errno == EINTR { continue }
                // A terminal that is gone, or takes nothing at present, is not waited for.
                guard written > 0 else { return }
                rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(written))
            }
        }
    }
}
