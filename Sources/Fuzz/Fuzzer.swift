// SPDX-License-Identifier: Apache-2.0
#if FUZZER
import FuzzTargets

// libFuzzer brings `main` along and calls these two functions.

/// Reads the command line, before the first input.
@c(LLVMFuzzerInitialize)
public func initialize(
    _ count: UnsafeMutablePointer<CInt>,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?>
) -> CInt {
    Command.runIfListed()
    _ = Command.target
    return 0
}

/// Checks the property of the chosen target for one input.
@c(LLVMFuzzerTestOneInput)
public func testOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    do throws(BrokenProperty) {
        try Command.target.run(UnsafeRawBufferPointer(start: start, count: count))
    } catch {
        // The trap is what the fuzzer takes for a finding, and keeps the input of.
        fatalError("\(Command.target.name): \(error)")
    }
    return 0
}
#endif
