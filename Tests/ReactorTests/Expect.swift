// SPDX-License-Identifier: Apache-2.0
import Testing

/// `#expect` for conditions about noncopyable values, which the macro would have to copy.
func expect(
    _ condition: Bool, _ comment: Comment? = nil,
    at sourceLocation: SourceLocation = #_sourceLocation
) {
    #expect(condition, comment, sourceLocation: sourceLocation)
}

/// `#require` for the same.
func unwrap<Value>(
    _ value: Value?, at sourceLocation: SourceLocation = #_sourceLocation
) throws -> Value {
    try #require(value, sourceLocation: sourceLocation)
}
