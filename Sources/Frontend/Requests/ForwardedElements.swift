// SPDX-License-Identifier: Apache-2.0
import Reactor
import Wire

/// What the `Forwarded` fields of a request say (RFC 7239 §4).
///
/// Nothing, where they do not end as they begin, so that what stands behind would be read as a part of
/// them.
struct ForwardedElements {
    /// `name=value` as it came, and what it means.
    private struct Pair {
        let text: ArraySlice<UInt8>
        let name: String
        let value: [UInt8]
    }

    /// All elements as they came.
    private var received: [UInt8] = []
    private var elements: [[Pair]] = []

    /// Reads the elements of all `Forwarded` fields (RFC 7239 §4); none if a quote is not closed.
    init(_ fields: FieldList) {
        guard fields.known.has(.forwarded) else { return }
        let values = fields.all("forwarded").filter { !$0.isEmpty }
        let joined = Array(values.joined(separator: Array(", ".utf8)))
        var element: [Pair] = []
        var start = 0
        var isQuoted = false
        var isEscaped = false
        for (index, byte) in joined.enumerated() {
            if isEscaped {
                isEscaped = false
            } else if byte == UInt8(ascii: "\"") {
                isQuoted.toggle()
            } else if byte == UInt8(ascii: "\\") {
                // Outside quotes it means nothing that two readers agree on.
                guard isQuoted else { return }
                isEscaped = true
            } else if !isQuoted, byte == UInt8(ascii: ";") || byte == UInt8(ascii: ",") {
                if let pair = Self.pair(joined[start..<index]) { element.append(pair) }
                start = index + 1
                if byte == UInt8(ascii: ",") {
                    if !element.isEmpty { elements.append(element) }
                    element = []
                }
            }
        }
        if let pair = Self.pair(joined[start...]) { element.append(pair) }
        if !element.isEmpty { elements.append(element) }
        if isQuoted || isEscaped || !elements.contains(where: { $0.contains { !$0.name.isEmpty } })
        {
            elements = []
        } else {
            received = joined
        }
    }

    /// A pair without the white space around it; nil where nothing stands.
    ///
    /// Its name is empty where it is no pair.
    private static func pair(_ text: ArraySlice<UInt8>) -> Pair? {
        let text = trimmed(text)
        guard let first = text.first else { return nil }
        guard let equals = text.firstIndex(of: UInt8(ascii: "=")), first != UInt8(ascii: "\"")
        else { return Pair(text: text, name: "", value: []) }
        let name = String(decoding: trimmed(text[..<equals]), as: UTF8.self).lowercased()
        let value = trimmed(text[(equals + 1)...])
        guard value.first == UInt8(ascii: "\""), value.count >= 2 else {
            return Pair(text: text, name: name, value: Array(value))
        }
        var bytes: [UInt8] = []
        var isEscaped = false
        for byte in value.dropFirst().dropLast() {
            if byte == UInt8(ascii: "\\") && !isEscaped {
                isEscaped = true
            } else {
                bytes.append(byte)
                isEscaped = false
            }
        }
        return Pair(text: text, name: name, value: bytes)
    }

    private static func trimmed(_ text: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }
        var text = text.drop(while: isBlank)
        while let last = text.last, isBlank(last) { text = text.dropLast() }
        return text
    }

    /// By which scheme the client asked: what is said in the last element that is about nobody trusted,
    /// since anybody may have written those before it.
    func scheme(trusted: [AddressBlock]) -> String? {
        let near = elements.suffix(Forwarding.proxiesMax + 1)
        let client = near.last { element in
            guard let node = element.first(where: { $0.name == "for" }),
                let address = Forwarding.address(node.value[...])
            else { return true }
            return !trusted.contains { $0.contains(address) }
        }
        let element = client ?? near.first
        return element?.first { $0.name == "proto" }.flatMap { Forwarding.scheme($0.value) }
    }

    /// The elements as they came, but for what they say of another scheme than this one.
    func text(scheme: String) -> [UInt8] {
        func contradicts(_ pair: Pair) -> Bool {
            pair.name == "proto" && Forwarding.scheme(pair.value) != scheme
        }
        guard elements.contains(where: { $0.contains(where: contradicts) }) else {
            return received
        }
        let kept = elements.map { element in
            element.filter { !contradicts($0) }.map(\.text).joined(separator: [UInt8(ascii: ";")])
        }
        return Array(
            kept.map { Array($0) }.filter { !$0.isEmpty }.joined(separator: Array(", ".utf8)))
    }
}
