// SPDX-License-Identifier: Apache-2.0
import CCurl
import Reactor

/// A collector as libcurl reaches it: one connection, which is kept between requests.
///
/// It belongs to the exporter's thread.
final class Collector {
    /// What has come of a request.
    enum Outcome: Equatable {
        /// The collector has answered; `retryAfterSeconds` is 0 where it did not say.
        case answered(status: Int, retryAfterSeconds: Int, body: [UInt8])
        /// It was not reached, or did not answer in time.
        case failed(String)
        /// Nobody waits for it any more.
        case abandoned
    }

    /// Why there is no way to the collector at all, as libcurl says it.
    struct Unusable: Error, Equatable {
        let reason: String
    }

    /// More of an answer is not read.
    private static let answerBytesMax = 65_536

    /// What libcurl writes the answer into; it stays where it is.
    private struct Answer {
        var bytes: [UInt8] = []
        var isTooLong = false
    }

    private var curl: sluice_curl
    private let multi: UnsafeMutableRawPointer
    private let easy: UnsafeMutableRawPointer
    private let answer: UnsafeMutablePointer<Answer>
    private let sentence: UnsafeMutablePointer<CChar>
    private var headers: UnsafeMutablePointer<curl_slist>?

    /// Opens libcurl, which no other part of the process needs.
    private static func open() throws(Unusable) -> sluice_curl {
        var curl = sluice_curl()
        if let missing = sluice_curl_open(&curl) {
            throw Unusable(
                reason: "libcurl is not installed (libcurl4): there is no"
                    + " \(String(cString: missing))")
        }
        return curl
    }

    /// Why nothing can be sent on this machine; nil where it can.
    static func problem() -> String? {
        do throws(Unusable) {
            _ = try open()
            return nil
        } catch {
            return error.reason
        }
    }

    /// Prepares libcurl for whom a plan names; nothing is sent yet.
    init(_ plan: TracePlan) throws(Unusable) {
        let opened = try Self.open()
        curl = opened
        guard opened.global_init(Int(CURL_GLOBAL_DEFAULT)) == CURLE_OK,
            let multi = opened.multi_init()
        else { throw Unusable(reason: "libcurl can't begin") }
        guard let easy = opened.easy_init() else {
            _ = opened.multi_cleanup(multi)
            throw Unusable(reason: "libcurl has no memory")
        }
        self.multi = multi
        self.easy = easy
        answer = .allocate(capacity: 1)
        answer.initialize(to: Answer())
        let sentenceBytes = Int(CURL_ERROR_SIZE)
        sentence = .allocate(capacity: sentenceBytes)
        sentence.initialize(repeating: 0, count: sentenceBytes)
        for line in Self.lines(plan) {
            // Where there is no memory for a line, the list stays as it was.
            if let longer = opened.slist_append(headers, line) { headers = longer }
        }
        let problem = setUp(plan)
        guard problem == CURLE_OK else { throw Unusable(reason: text(problem)) }
    }

    deinit {
        curl.easy_cleanup(easy)
        _ = curl.multi_cleanup(multi)
        curl.slist_free_all(headers)
        answer.deinitialize(count: 1)
        answer.deallocate()
        sentence.deallocate()
    }

    private func text(_ code: CURLcode) -> String {
        curl.easy_strerror(code).map { String(cString: $0) } ?? "libcurl has failed"
    }

    private func failure(_ code: CURLMcode) -> Outcome {
        .failed(curl.multi_strerror(code).map { String(cString: $0) } ?? "libcurl has failed")
    }

    private static func lines(_ plan: TracePlan) -> [String] {
        // Without a value libcurl leaves the field out; it would wait for a 100 before each large body.
        ["Content-Type: application/json", "User-Agent: sluice/\(plan.version)", "Expect:"]
            + plan.headers.map { $0.value.isEmpty ? "\($0.name);" : "\($0.name): \($0.value)" }
    }

    private func setUp(_ plan: TracePlan) -> CURLcode {
        let settings: [CURLcode] = [
            sluice_curl_set_text(&curl, easy, CURLOPT_URL, plan.endpoint),
            // Neither files nor other protocols, whatever an address may lead to; no redirect is followed.
            sluice_curl_set_text(&curl, easy, CURLOPT_PROTOCOLS_STR, "http,https"),
            // Spans go where the configuration says, whatever the environment says of proxies.
            sluice_curl_set_text(&curl, easy, CURLOPT_PROXY, ""),
            sluice_curl_set_number(&curl, easy, CURLOPT_NOSIGNAL, 1),
            sluice_curl_set_number(&curl, easy, CURLOPT_POST, 1),
            sluice_curl_set_number(
                &curl, easy, CURLOPT_TIMEOUT_MS, Int(clamping: plan.timeoutMilliseconds)),
            // Whoever leaves while a name is looked up does not wait for that.
            sluice_curl_set_number(&curl, easy, CURLOPT_QUICK_EXIT, 1),
            sluice_curl_set_pointer(&curl, easy, CURLOPT_HTTPHEADER, headers),
            sluice_curl_set_pointer(&curl, easy, CURLOPT_ERRORBUFFER, sentence),
            plan.authorities.map { sluice_curl_trust_only(&curl, easy, $0) } ?? CURLE_OK,
            sluice_curl_set_writer(
                &curl, easy,
                { bytes, size, count, context in
                    guard let context else { return 0 }
                    return Collector.take(
                        bytes, size * count, context.assumingMemoryBound(to: Answer.self))
                }, answer),
        ]
        return settings.first { $0 != CURLE_OK } ?? CURLE_OK
    }

    /// Takes bytes of an answer; 0 has libcurl give the connection up.
    private static func take(
        _ bytes: UnsafeMutablePointer<CChar>?, _ count: Int, _ answer: UnsafeMutablePointer<Answer>
    ) -> Int {
        guard let bytes, answer.pointee.bytes.count + count <= answerBytesMax else {
            answer.pointee.isTooLong = true
            return 0
        }
        answer.pointee.bytes.append(contentsOf: UnsafeRawBufferPointer(start: bytes, count: count))
        return count
    }

    /// Posts a body, and waits for the answer.
    ///
    /// - Parameters:
    ///   - body: the JSON of spans.
    ///   - descriptor: is readable when there is news for `look`.
    ///   - look: called when there may be news; says until when the answer is waited for, in milliseconds of
    ///     `Clock`; nil for as long as the plan says.
    /// - Returns: what has come of it.
    func post(_ body: [UInt8], waking descriptor: Int32, _ look: () -> UInt64?) -> Outcome {
        answer.pointee = Answer()
        sentence[0] = 0
        return body.withUnsafeBytes { body in
            let code = sluice_curl_set_size(
                &curl, easy, CURLOPT_POSTFIELDSIZE_LARGE, curl_off_t(body.count))
            guard code == CURLE_OK,
                sluice_curl_set_pointer(&curl, easy, CURLOPT_POSTFIELDS, body.baseAddress)
                    == CURLE_OK,
                curl.multi_add_handle(multi, easy) == CURLM_OK
            else { return .failed("libcurl takes no request") }
            defer { _ = curl.multi_remove_handle(multi, easy) }
            return transfer(waking: descriptor, look)
        }
    }

    private func transfer(waking descriptor: Int32, _ look: () -> UInt64?) -> Outcome {
        var running: Int32 = 1
        while true {
            let code = curl.multi_perform(multi, &running)
            guard code == CURLM_OK else { return failure(code) }
            if running == 0 { return outcome }
            let deadline = look()
            let now = Clock.nowMilliseconds()
            if let deadline, now >= deadline { return .abandoned }
            let patience = deadline.map { min($0 - now, 60_000) } ?? 60_000
            var news = curl_waitfd(fd: descriptor, events: Int16(CURL_WAIT_POLLIN), revents: 0)
            let polled = curl.multi_poll(multi, &news, 1, Int32(patience), nil)
            guard polled == CURLM_OK else { return failure(polled) }
        }
    }

    private var outcome: Outcome {
        let result = sluice_curl_result(&curl, multi)
        var status = 0
        _ = sluice_curl_number(&curl, easy, CURLINFO_RESPONSE_CODE, &status)
        // What an answer says beyond its bound is not needed.
        let isAnswered = result == Int32(CURLE_OK.rawValue) || answer.pointee.isTooLong
        guard isAnswered, status > 0 else {
            let said = String(cString: sentence)
            let code = CURLcode(rawValue: UInt32(bitPattern: max(0, result)))
            return .failed(said.isEmpty ? text(code) : said)
        }
        var seconds: curl_off_t = 0
        _ = sluice_curl_size(&curl, easy, CURLINFO_RETRY_AFTER, &seconds)
        return .answered(
            status: status, retryAfterSeconds: Int(clamping: max(0, seconds)),
            body: answer.pointee.bytes)
    }
}
