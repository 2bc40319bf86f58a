// SPDX-License-Identifier: Apache-2.0

/// The head of a request or a response as a test looks at it: the lines in order, nothing judged.
public struct HTTPHead: Sendable, CustomStringConvertible {
    /// The request or status line.
    public let startLine: String
    /// The fields in order, values trimmed.
    public let fields: [(name: String, value: String)]

    init(_ bytes: some Collection<UInt8>) {
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\r\n")
        startLine = lines.first.map(String.init) ?? ""
        fields = lines.dropFirst().map { line in
            let parts = line.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            let value = parts.count > 1 ? parts[1].trimmed : ""
            return (String(parts[0]), value)
        }
    }

    /// The status of a response; 0 if this is none.
    public var status: Int {
        let parts = startLine.split(separator: " ", maxSplits: 2)
        return parts.count > 1 ? Int(parts[1]) ?? 0 : 0
    }

    /// The target of a request.
    public var target: String {
        let parts = startLine.split(separator: " ")
        return parts.count > 1 ? String(parts[1]) : ""
    }

    /// The first value of this field, whatever the case of its name.
    public subscript(_ name: String) -> String? { all(name).first }

    /// All values of this field.
    public func all(_ name: String) -> [String] {
        fields.filter { $0.name.lowercased() == name.lowercased() }.map(\.value)
    }

    /// The lines.
    public var description: String {
        ([startLine] + fields.map { "\($0.name): \($0.value)" }).joined(separator: "\n")
    }
}

/// A whole response.
public struct HTTPResponse: Sendable {
    /// Its head.
    public let head: HTTPHead
    /// Its body, transfer coding removed.
    public let body: [UInt8]

    /// A response of both.
    public init(head: HTTPHead, body: [UInt8]) {
        self.head = head
        self.body = body
    }

    /// The status.
    public var status: Int { head.status }
    /// The body as text.
    public var text: String { String(decoding: body, as: UTF8.self) }
}

/// A client's opening handshake, to be bent where a test needs it.
public struct Opening: Sendable {
    /// The method.
    public var method = "GET"
    /// The request target.
    public var target: String
    /// The HTTP version.
    public var version = "HTTP/1.1"
    /// All fields but those in `extra`, in order; a test removes or changes what it likes.
    public var fields: [(name: String, value: String)]

    /// A valid opening handshake, with `extra` fields at the end.
    public init(
        _ target: String = "/Esv/ocp", host: String = "localhost",
        extra: [(name: String, value: String)] = [], key: String = "dGhlIHNhbXBsZSBub25jZQ=="
    ) {
        self.target = target
        fields =
            [
                ("Host", host), ("Upgrade", "websocket"), ("Connection", "Upgrade"),
                ("Sec-WebSocket-Key", key), ("Sec-WebSocket-Version", "13"),
            ] + extra
    }

    /// The same without the fields of this name.
    public func without(_ name: String) -> Opening {
        var opening = self
        opening.fields.removeAll { $0.name == name }
        return opening
    }

    /// The same with the fields of this name replaced by one of this value.
    public func with(_ name: String, _ value: String) -> Opening {
        var opening = without(name)
        opening.fields.append((name, value))
        return opening
    }

    /// The same with this method, target or version.
    public func with(method: String? = nil, target: String? = nil, version: String? = nil)
        -> Opening
    {
        var opening = self
        opening.method = method ?? self.method
        opening.target = target ?? self.target
        opening.version = version ?? self.version
        return opening
    }

    /// The head on the wire.
    public var bytes: [UInt8] {
        let lines = ["\(method) \(target) \(version)"] + fields.map { "\($0.name): \($0.value)" }
        return Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8)
    }

    var key: String { fields.first { $0.name == "Sec-WebSocket-Key" }?.value ?? "" }
}

extension Substring {
    var trimmed: String {
        var text = self
        while let first = text.first, first == " " || first == "\t" { text.removeFirst() }
        while let last = text.last, last == " " || last == "\t" { text.removeLast() }
        return String(text)
    }
}
