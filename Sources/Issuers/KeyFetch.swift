// SPDX-License-Identifier: Apache-2.0
import Access
import CCurl
import Reactor

/// One URL as libcurl reaches it.
///
/// It belongs to the thread that fetches.
final class KeyFetch {
    /// What has come of a try.
    enum Outcome: Equatable {
        /// The issuer has answered.
        case answered(status: Int, KeyAnswer)
        /// It was not reached, or did not answer in time.
        case failed(String)
        /// Nobody waits for it any more.
        case abandoned
    }

    /// Why nothing can be fetched at all, as libcurl says it.
    struct Unusable: Error, Equatable {
        let reason: String
    }

    /// How long one try may take.
    static let timeoutMilliseconds = 10_000

    private var curl: sluice_curl
    private let multi: UnsafeMutableRawPointer
    private let easy: UnsafeMutableRawPointer
    /// What libcurl writes the answer into; it stays where it is.
    private let answer: UnsafeMutablePointer<KeyAnswer>
    private let sentence: UnsafeMutablePointer<CChar>

    /// Opens libcurl, which is loaded where somebody needs it.
    private static func open() throws(Unusable) -> sluice_curl {
        var curl = sluice_curl()
        if let missing = sluice_curl_open(&curl) {
            throw Unusable(
                reason: "libcurl is not installed (libcurl4): there is no"
                    + " \(String(cString: missing))")
        }
        return curl
    }

    /// Why nothing can be fetched on this machine; nil where it can.
    static func problem() -> String? {
        do throws(Unusable) {
            _ = try open()
            return nil
        } catch {
            return error.reason
        }
    }

    /// Prepares libcurl for a URL; nothing is sent yet.
    ///
    /// - Parameters:
    ///   - url: where the keys are.
    ///   - authorities: the file of certificate authorities; nil for the system's.
    /// - Throws: `Unusable`, where libcurl can't be used.
    init(_ url: String, authorities: String?) throws(Unusable) {
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
        answer.initialize(to: KeyAnswer())
        let sentenceBytes = Int(CURL_ERROR_SIZE)
        sentence = .allocate(capacity: sentenceBytes)
        sentence.initialize(repeating: 0, count: sentenceBytes)
        let problem = setUp(url, authorities)
        guard problem == CURLE_OK else { throw Unusable(reason: text(problem)) }
    }

    deinit {
        curl.easy_cleanup(easy)
        _ = curl.multi_cleanup(multi)
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

    private func setUp(_ url: String, _ authorities: String?) -> CURLcode {
        let settings: [CURLcode] = [
            sluice_curl_set_text(&curl, easy, CURLOPT_URL, url),
            // Neither files nor other protocols; no redirect is followed, which could lead to where anybody has keys.
            sluice_curl_set_text(&curl, easy, CURLOPT_PROTOCOLS_STR, "http,https"),
            // Keys come from where the configuration says, whatever the environment says of proxies.
            sluice_curl_set_text(&curl, easy, CURLOPT_PROXY, ""),
            sluice_curl_set_text(&curl, easy, CURLOPT_USERAGENT, "sluice"),
            sluice_curl_set_number(&curl, easy, CURLOPT_NOSIGNAL, 1),
            // Issuers are asked once in minutes: a connection that is kept is an old one.
            sluice_curl_set_number(&curl, easy, CURLOPT_FORBID_REUSE, 1),
            sluice_curl_set_number(&curl, easy, CURLOPT_TIMEOUT_MS, Self.timeoutMilliseconds),
            sluice_curl_set_number(&curl, easy, CURLOPT_QUICK_EXIT, 1),
            sluice_curl_set_pointer(&curl, easy, CURLOPT_ERRORBUFFER, sentence),
            authorities.map { sluice_curl_trust_only(&curl, easy, $0) } ?? CURLE_OK,
            sluice_curl_set_writer(
                &curl, easy,
                { bytes, size, count, context in
                    guard let bytes, let context else { return 0 }
                    let answer = context.assumingMemoryBound(to: KeyAnswer.self)
                    let piece = UnsafeRawBufferPointer(start: bytes, count: size * count)
                    return answer.pointee.take(piece) ? piece.count : 0
                }, answer),
            sluice_curl_set_header_reader(
                &curl, easy,
                { bytes, size, count, context in
                    guard let bytes, let context else { return 0 }
                    let answer = context.assumingMemoryBound(to: KeyAnswer.self)
                    let line = UnsafeRawBufferPointer(start: bytes, count: size * count)
                    answer.pointee.takeLine(line)
                    return line.count
                }, answer),
        ]
        return settings.first { $0 != CURLE_OK } ?? CURLE_OK
    }

    /// Asks for the keys, and waits for the answer.
    ///
    /// - Parameters:
    ///   - descriptor: is readable when there is news for `goesOn`.
    ///   - goesOn: called when there may be news; whether the answer is waited for.
    /// - Returns: what has come of it.
    func fetch(waking descriptor: Int32, _ goesOn: () -> Bool) -> Outcome {
        answer.pointee = KeyAnswer()
        sentence[0] = 0
        guard curl.multi_add_handle(multi, easy) == CURLM_OK else {
            return .failed("libcurl takes no request")
        }
        defer { _ = curl.multi_remove_handle(multi, easy) }
        var running: Int32 = 1
        while true {
            let code = curl.multi_perform(multi, &running)
            guard code == CURLM_OK else { return failure(code) }
            if running == 0 { return outcome }
            guard goesOn() else { return .abandoned }
            var news = curl_waitfd(fd: descriptor, events: Int16(CURL_WAIT_POLLIN), revents: 0)
            let polled = curl.multi_poll(multi, &news, 1, 1_000, nil)
            guard polled == CURLM_OK else { return failure(polled) }
        }
    }

    private var outcome: Outcome {
        let result = sluice_curl_result(&curl, multi)
        var status = 0
        _ = sluice_curl_number(&curl, easy, CURLINFO_RESPONSE_CODE, &status)
        if answer.pointee.isTooLong {
            return .failed("its answer has more than \(TokenKeys.bytesMax / 1_024) KiB")
        }
        guard result == Int32(CURLE_OK.rawValue), status > 0 else {
            let said = String(cString: sentence)
            let code = CURLcode(rawValue: UInt32(bitPattern: max(0, result)))
            return .failed(said.isEmpty ? text(code) : said)
        }
        return .answered(status: status, answer.pointee)
    }
}
