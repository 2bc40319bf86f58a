// SPDX-License-Identifier: Apache-2.0
import Reactor
import Testing

@Suite struct MailboxTests {
    private struct Letter: Sendable {
        let sender: Int
        let number: Int
    }

    @Test func `messages of several threads all arrive, each sender's in order`() throws {
        let senders = 4
        let each = 5000
        let mailbox = try Mailbox<Letter>()
        var poller = try Poller(eventsMax: 8)
        let token = Token.fixed(0)
        let isWatched = poller.add(mailbox.descriptor, token, .levelRead)
        #expect(isWatched)
        let threads = try (0..<senders).map { sender in
            try ReactorThread.start(name: "sender \(sender)") {
                for number in 0..<each { mailbox.post(Letter(sender: sender, number: number)) }
            }
        }
        var nextNumbers = [Int](repeating: 0, count: senders)
        var received = 0
        while received < senders * each {
            let count = poller.wait(timeoutMilliseconds: 20_000)
            try #require(count == 1, "a message was posted and nobody woke")
            let event = poller.event(0)
            #expect(event.token == token)
            #expect(event.flags.contains(.readable))
            for letter in mailbox.take() {
                #expect(letter.number == nextNumbers[letter.sender])
                nextNumbers[letter.sender] = letter.number + 1
                received += 1
            }
        }
        for thread in threads { thread.join() }
        let left = poller.wait(timeoutMilliseconds: 0)
        #expect(left == 0)
        #expect(mailbox.take().isEmpty)
    }

    @Test func `an empty mailbox does not wake and a taken one is empty`() throws {
        let mailbox = try Mailbox<Int>()
        var poller = try Poller()
        _ = poller.add(mailbox.descriptor, Token.fixed(0), .levelRead)
        var count = poller.wait(timeoutMilliseconds: 0)
        #expect(count == 0)
        mailbox.post(1)
        mailbox.post(2)
        count = poller.wait(timeoutMilliseconds: 0)
        #expect(count == 1)
        #expect(mailbox.take() == [1, 2])
        count = poller.wait(timeoutMilliseconds: 0)
        #expect(count == 0)
        mailbox.post(3)
        count = poller.wait(timeoutMilliseconds: 0)
        #expect(count == 1)
    }
}
