// SPDX-License-Identifier: Apache-2.0
import ArgumentParser

/// What the connections of a load do.
enum LoadMode: String, CaseIterable, ExpressibleByArgument {
    case echo, push, stream, hold, connect, storm
}
