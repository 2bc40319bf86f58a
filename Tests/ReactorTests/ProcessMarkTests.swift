// SPDX-License-Identifier: Apache-2.0
import Glibc
import Reactor
import TestKit
import Testing

/// Who is told from a later process of the same number.
struct ProcessMarkTests {
    @Test func itIsItself() {
        let own = ProcessMark(of: getpid())
        #expect(own.process == getpid() && (own.began ?? 0) > 0)
        #expect(own.isThere)
        #expect(own == ProcessMark(getpid(), began: own.began))
    }

    @Test func anotherOfTheSameNumberIsNotTakenForIt() throws {
        let began = try #require(ProcessMark(of: getpid()).began)
        #expect(!ProcessMark(getpid(), began: began - 1).isThere)
        // Where only the number is known, that stands for it.
        #expect(ProcessMark(getpid(), began: nil).isThere)
    }

    @Test func noProcessIsNotThere() {
        for process in [0, -1, Int32.max] {
            #expect(!ProcessMark(process, began: nil).isThere)
            #expect(ProcessMark(of: process).began == nil)
        }
    }

    @Test func oneThatHasEndedIsGoneBeforeItsParentHasAsked() throws {
        var process: pid_t = 0
        let words = [strdup("sleep"), strdup("60"), nil]
        defer { for word in words { free(word) } }
        try #require(posix_spawnp(&process, "sleep", nil, nil, words, environ) == 0)
        let mark = ProcessMark(of: process)
        #expect(mark.isThere)
        kill(process, SIGKILL)
        let deadline = Deadline.after()
        while mark.isThere, !deadline.hasPassed { usleep(1_000) }
        #expect(!mark.isThere)
        // Its number is still taken.
        #expect(kill(process, 0) == 0)
        waitpid(process, nil, 0)
        #expect(!mark.isThere)
    }
}
