// SPDX-License-Identifier: Apache-2.0
import Wire

/// The page with which a person tries the socket by hand: three small files, nothing from elsewhere.
enum EchoPage {
    /// What may be had at that path; nil when there is nothing.
    static func file(at path: [UInt8]) -> (type: String, text: String)? {
        switch String(decoding: path, as: UTF8.self) {
        case "/", "/index.html": ("text/html; charset=utf-8", page)
        case "/echo.css": ("text/css; charset=utf-8", style)
        case "/echo.js": ("text/javascript; charset=utf-8", script)
        default: nil
        }
    }

    /// The answer to a request that asks for no WebSocket; the connection closes behind it.
    static func answer(to head: RequestHead) -> [UInt8] {
        let target = try? RequestTarget(parsing: head.target)
        guard head.method == "GET" || head.method == "HEAD" else {
            return answer(405, "text/plain; charset=utf-8", "Only GET and HEAD.\n", head)
        }
        guard let target, let found = file(at: target.path) else {
            return answer(
                404, "text/plain; charset=utf-8",
                "There is no such page; a WebSocket is echoed at every path.\n", head)
        }
        return answer(200, found.type, found.text, head)
    }

    private static func answer(
        _ status: Int, _ type: String, _ text: String, _ head: RequestHead
    ) -> [UInt8] {
        var writer = HeadWriter()
        writer.statusLine(status)
        writer.field("Content-Type", type)
        writer.field("Content-Length", String(text.utf8.count))
        writer.field("Cache-Control", "no-cache")
        writer.field("X-Content-Type-Options", "nosniff")
        writer.field(
            "Content-Security-Policy",
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
                + " base-uri 'none'; form-action 'none'")
        if status == 405 { writer.field("Allow", "GET, HEAD") }
        writer.field("Connection", "close")
        writer.end()
        return head.method == "HEAD" ? writer.bytes : writer.bytes + text.utf8
    }

    private static let page = """
        <!doctype html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <title>Sluice echo</title>
        <link rel="stylesheet" href="/echo.css">
        <script src="/echo.js" defer></script>
        </head>
        <body>
        <main>
        <h1>Echo</h1>
        <p id="state" role="status" data-state="closed">Not connected.</p>
        <form id="where">
        <label for="path">Path</label>
        <input id="path" value="/Esv/ocp" autocomplete="off" spellcheck="false">
        <button id="connect">Reconnect</button>
        </form>
        <form id="say">
        <label for="text">Message</label>
        <input id="text" value="hello" autocomplete="off">
        <button id="send" disabled>Send</button>
        <button id="burst" type="button" disabled>Send 100</button>
        </form>
        <h2>Messages</h2>
        <ol id="log" aria-live="polite"></ol>
        </main>
        </body>
        </html>

        """

    private static let style = """
        :root { color-scheme: light dark; --line: #8885; --good: #0a7d3c; --bad: #b3261e }
        @media (prefers-color-scheme: dark) { :root { --good: #5fd38d; --bad: #ff8a80 } }
        * { box-sizing: border-box }
        body { margin: 0; font: 1rem/1.5 system-ui, sans-serif }
        main { max-width: 40rem; margin: 0 auto; padding: 1.5rem 1rem 4rem }
        h1 { margin: 0 0 .25rem; font-size: 1.6rem }
        h2 { font-size: 1rem; margin: 1.5rem 0 .5rem }
        form { display: flex; flex-wrap: wrap; gap: .5rem; align-items: center; margin: .75rem 0 }
        label { flex: 0 0 5rem }
        input { flex: 1 1 10rem; min-width: 0; font: inherit; padding: .4rem .6rem }
        input, button { border: 1px solid var(--line); border-radius: .4rem }
        button { font: inherit; padding: .4rem .9rem; cursor: pointer }
        button:disabled { cursor: default; opacity: .5 }
        #state { margin: 0; padding-left: .75rem; border-left: .3rem solid var(--line) }
        #state[data-state=open] { border-color: var(--good) }
        #state[data-state=closed] { border-color: var(--bad) }
        #log { margin: 0; padding: 0; list-style: none; border-top: 1px solid var(--line) }
        #log li { display: flex; gap: 1rem; padding: .35rem 0; border-bottom: 1px solid var(--line) }
        #log span:first-child { flex: 1; overflow-wrap: anywhere }
        #log span:last-child { font-variant-numeric: tabular-nums }

        """

    private static let script = """
        "use strict";
        const one = id => document.getElementById(id);
        const words = { 1000: "closed in order", 1001: "going away", 1002: "protocol error",
          1006: "no Close came: the connection broke, or was refused", 1009: "message too big",
          1012: "service restart", 1014: "the upstream vanished" };
        let socket, waiting = [], times = null;

        function state(name, text) {
          one("state").dataset.state = name;
          one("state").textContent = text;
          one("send").disabled = one("burst").disabled = name !== "open";
        }

        function note(text, time) {
          const item = document.createElement("li");
          for (const part of [text, time]) {
            const span = document.createElement("span");
            span.textContent = part;
            item.append(span);
          }
          one("log").prepend(item);
          while (one("log").children.length > 200) one("log").lastChild.remove();
        }

        function connect() {
          if (socket) { socket.onclose = null; socket.close(1000); }
          waiting = []; times = null;
          const url = location.origin.replace(/^http/, "ws") + one("path").value;
          state("opening", "Connecting to " + url + " …");
          try { socket = new WebSocket(url); } catch (error) {
            state("closed", String(error.message));
            return;
          }
          socket.onopen = () => state("open", "Connected to " + url +
            (socket.extensions ? ", with " + socket.extensions : "") +
            (socket.protocol ? ", speaking " + socket.protocol : "") + ".");
          socket.onclose = event => state("closed", "Closed with code " + event.code + " (" +
            (words[event.code] || "see RFC 6455, section 7.4") + ")" +
            (event.reason ? ": " + event.reason : "") + ".");
          socket.onmessage = event => {
            const sent = waiting.shift();
            const time = performance.now() - sent;
            if (!times) { note(event.data, time.toFixed(1) + " ms"); return; }
            times.push(time);
            if (times.length < 100) return;
            times.sort((a, b) => a - b);
            note("100 messages", "median " + times[50].toFixed(1) + " ms, most " +
              times[99].toFixed(1) + " ms");
            times = null;
            one("send").disabled = one("burst").disabled = false;
          };
        }

        function say(text) { waiting.push(performance.now()); socket.send(text); }

        one("where").addEventListener("submit", event => { event.preventDefault(); connect(); });
        one("say").addEventListener("submit", event => {
          event.preventDefault();
          if (socket && socket.readyState === 1 && !times) say(one("text").value);
        });
        one("burst").addEventListener("click", () => {
          times = [];
          one("send").disabled = one("burst").disabled = true;
          for (let count = 0; count < 100; count++) say(one("text").value);
        });
        connect();

        """
}
