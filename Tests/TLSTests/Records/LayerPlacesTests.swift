// SPDX-License-Identifier: Apache-2.0
import Glibc
import Testing

@testable import TLS

/// Goal: each record layer has a place of its own, whichever threads take and give places.
struct LayerPlacesTests {
    @Test func `the key and the numbers of a direction are in one cache line each`() throws {
        #expect(try #require(MemoryLayout<RecordLayer>.offset(of: \.part)) < 64)
        let keys = MemoryLayout<RecordLayer>.stride
        for begin in [keys, keys + TrafficKey.hotBytes] {
            let end = begin + RecordSuite.keyBytesMax + RecordSuite.nonceBytes
            #expect(begin / 64 == (end - 1) / 64, "\(begin)")
        }
        #expect(LayerPlaces.placeBytes <= 320)
    }

    @Test func `places are apart, empty, and used again`() throws {
        // More than one piece of memory has.
        let places = try (0..<2_000).map { _ in try #require(LayerPlaces.take()) }
        #expect(Set(places).count == places.count)
        for (index, place) in places.enumerated() {
            #expect(UInt(bitPattern: place) % 64 == 0)
            #expect(
                (0..<LayerPlaces.placeBytes).allSatisfy {
                    place.load(fromByteOffset: $0, as: UInt8.self) == 0
                })
            memset(place, Int32(index & 127 | 1), LayerPlaces.placeBytes)
        }
        for (index, place) in places.enumerated() {
            #expect(
                (0..<LayerPlaces.placeBytes).allSatisfy {
                    place.load(fromByteOffset: $0, as: UInt8.self) == UInt8(index & 127 | 1)
                }, "\(index)")
        }
        places.forEach { LayerPlaces.giveBack($0) }
        let again = try (0..<2_000).map { _ in try #require(LayerPlaces.take()) }
        #expect(Set(again).count == again.count)
        for place in again {
            #expect(
                (0..<LayerPlaces.placeBytes).allSatisfy {
                    place.load(fromByteOffset: $0, as: UInt8.self) == 0
                })
        }
        again.forEach { LayerPlaces.giveBack($0) }
    }

    @Test func `threads take and give at once, and nobody gets another's`() async {
        let torn = await withTaskGroup(of: Int.self) { group in
            for task in 1...8 {
                group.addTask {
                    var torn = 0
                    for _ in 0..<200 {
                        let mine = (0..<16).compactMap { _ in LayerPlaces.take() }
                        for place in mine { memset(place, Int32(task), LayerPlaces.placeBytes) }
                        await Task.yield()
                        for place in mine {
                            let last = place.load(
                                fromByteOffset: LayerPlaces.placeBytes - 1, as: UInt8.self)
                            if last != UInt8(task) || place.load(as: UInt8.self) != UInt8(task) {
                                torn += 1
                            }
                            LayerPlaces.giveBack(place)
                        }
                    }
                    return torn
                }
            }
            return await group.reduce(0, +)
        }
        #expect(torn == 0)
    }
}
