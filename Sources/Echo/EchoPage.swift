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
                + " img-src data:;"
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
        <link rel="icon" href="data:,">
        <link rel="stylesheet" href="/echo.css">
        <script src="/echo.js" defer></script>
        </head>
        <body>
        <main>
        <h1>Echo</h1>
        <p>This page opens a WebSocket to the app that served it, <code>sluice echo</code>. The app sends every
        message back. With Sluice in front, the browser speaks <code>wss</code> and the app plain
        <code>ws</code>.</p>
        <p id="state" role="status" data-state="closed">Not connected.</p>
        <dl id="facts"></dl>
        <form id="where">
        <label for="path">Path</label>
        <input id="path" value="/Esv/ocp" autocomplete="off" spellcheck="false">
        <button id="connect">Connect</button>
        <button id="end" type="button" disabled>Close</button>
        </form>
        <form id="say">
        <label for="text">Message</label>
        <input id="text" value="hello" autocomplete="off">
        <button id="send" disabled>Send text</button>
        <button id="bytes" type="button" disabled>Send bytes</button>
        <button id="burst" type="button" disabled>Send 100</button>
        </form>
        <h2>Messages</h2>
        <ol id="log" aria-live="polite"></ol>
        <h2>Next</h2>
        <p>Put TLS in front of your own app: <code>sluice 3000</code>, with your app's port. If a socket does not
        open, this says why: <code id="doctor">sluice doctor wss://…</code></p>
        </main>
        </body>
        </html>

        """

    private static let style = """
        :root { color-scheme: light dark; --line: #8885; --good: #0a7d3c; --bad: #b3261e; --wait: #8a5a00 }
        @media (prefers-color-scheme: dark) { :root { --good: #5fd38d; --bad: #ff8a80; --wait: #ffc166 } }
        * { box-sizing: border-box }
        body { margin: 0; font: 1rem/1.5 system-ui, sans-serif }
        main { max-width: 44rem; margin: 0 auto; padding: 1.5rem 1rem 4rem }
        h1 { margin: 0 0 .25rem; font-size: 1.6rem }
        h2 { font-size: 1rem; margin: 1.5rem 0 .5rem }
        code { font-family: ui-monospace, monospace; font-size: .95em; overflow-wrap: anywhere }
        form { display: flex; flex-wrap: wrap; gap: .5rem; align-items: center; margin: .75rem 0 }
        label { flex: 0 0 5rem }
        input { flex: 1 1 10rem; min-width: 0; font: inherit; padding: .4rem .6rem }
        input, button { border: 1px solid var(--line); border-radius: .4rem }
        button { font: inherit; padding: .4rem .9rem; cursor: pointer }
        button:disabled { cursor: default; opacity: .5 }
        :focus-visible { outline: .15rem solid currentColor; outline-offset: .15rem }
        dl { display: grid; grid-template-columns: 5rem 1fr; gap: 0 .5rem; margin: .75rem 0 }
        dd { margin: 0; overflow-wrap: anywhere }
        #state { margin: 0; padding-left: .75rem; border-left: .3rem solid var(--line) }
        #state[data-state=open] { border-color: var(--good); color: var(--good) }
        #state[data-state=opening] { border-color: var(--wait); color: var(--wait) }
        #state[data-state=closed] { border-color: var(--bad); color: var(--bad) }
        #log { margin: 0; padding: 0; list-style: none; border-top: 1px solid var(--line) }
        #log li { display: flex; gap: 1rem; padding: .35rem 0; border-bottom: 1px solid var(--line) }
        #log span:first-child { flex: 1; overflow-wrap: anywhere }
        #log span:last-child { font-variant-numeric: tabular-nums }

        """

    /// RFC 6455 §7.4.1, and what IANA has registered since.
    private static let script = """
        "use strict";
        const one = id => document.getElementById(id);
        const words = {
          1000: "closed in order", 1001: "the server or the page goes away",
          1002: "somebody broke the protocol", 1003: "a kind of data that is not taken",
          1005: "closed without a code", 1006: "no Close came: the connection broke, or was refused",
          1007: "data that is no text", 1008: "against the server's rules", 1009: "message too big",
          1010: "an extension is missing", 1011: "the server failed", 1012: "the service restarts",
          1013: "try again later", 1014: "the app behind Sluice is gone",
          1015: "the TLS handshake failed" };
        /* With this subprotocol the app's first message says what it was told of the connection. */
        const noted = "connection-note.echo.sluice";
        const firstWait = 1, longestWait = 30;
        const buttons = ["send", "bytes", "burst", "end"];
        let socket, timer, waiting = [], times = null, failures = 0;

        function state(name, text) {
          one("state").dataset.state = name;
          one("state").textContent = text;
          for (const id of buttons) one(id).disabled = name !== "open";
        }

        function row(list, tag, parts) {
          const item = document.createElement(tag);
          for (const part of parts) {
            const span = document.createElement("span");
            span.textContent = part;
            item.append(span);
          }
          list.prepend(item);
        }

        function note(text, time) {
          row(one("log"), "li", [text, time]);
          while (one("log").children.length > 200) one("log").lastChild.remove();
        }

        function facts(pairs) {
          one("facts").replaceChildren(...pairs.flatMap(([name, text]) => {
            const term = document.createElement("dt"), value = document.createElement("dd");
            term.textContent = name;
            value.textContent = text;
            return [term, value];
          }));
        }

        /* Of the certificate a page is told nothing: it looks the same behind a warning that was clicked away. */
        function describe(url, note) {
          const page = performance.getEntriesByType("navigation")[0];
          const said = new Map(note.split("\\n").filter(Boolean).map(line => {
            const colon = line.indexOf(": ");
            return [line.slice(0, colon), line.slice(colon + 2)];
          }));
          const version = said.get("x-tls-version");
          const rows = [["Socket", url]];
          if (url.startsWith("wss:")) {
            rows.push(
              ["TLS", version
                ? [version, said.get("x-tls-group"), said.get("x-tls-cipher")].filter(Boolean).join(", ")
                : "yes, as the URL says; nothing in front of the app told it the version and the cipher"],
              ["Trust", "see the address bar: no page is told whether its certificate is trusted. “Not secure”"
                + " there means that it is not"]);
          } else {
            rows.push(["TLS", "none: everybody on the way can read and change this (ws)"]);
          }
          if (said.has("x-tls-alpn")) rows.push(["Protocol", said.get("x-tls-alpn") + ", agreed on by ALPN"]);
          rows.push(
            ["Page", "came by " + ((page && page.nextHopProtocol) || "HTTP")],
            ["Extension", socket.extensions || "none"]);
          facts(rows);
        }

        function connect() {
          clearInterval(timer);
          if (socket) { socket.onclose = null; socket.close(1000); }
          waiting = []; times = null;
          const url = location.origin.replace(/^http/, "ws") + one("path").value;
          one("doctor").textContent = "sluice doctor " + url;
          state("opening", "Connecting to " + url + " …");
          try { socket = new WebSocket(url, noted); } catch (error) {
            state("closed", String(error.message));
            return;
          }
          socket.binaryType = "arraybuffer";
          const opened = note => {
            isOpen = true;
            failures = 0;
            state("open", "Connected.");
            describe(url, note);
          };
          let isOpen = false;
          socket.onopen = () => { if (socket.protocol !== noted) opened(""); };
          socket.onclose = event => {
            const what = "Closed with code " + event.code + " (" +
              (words[event.code] || "the app's own code") + ")" +
              (event.reason ? ": " + event.reason : "") + ".";
            facts([]);
            if (event.code === 1000) { state("closed", what); return; }
            retry(what);
          };
          socket.onmessage = event => {
            if (!isOpen) { opened(event.data); return; }
            const time = performance.now() - waiting.shift();
            if (!times) { note(shown(event.data), time.toFixed(1) + " ms"); return; }
            times.push(time);
            if (times.length < 100) return;
            times.sort((a, b) => a - b);
            note("100 messages", "median " + times[50].toFixed(1) + " ms, most " +
              times[99].toFixed(1) + " ms");
            times = null;
            for (const id of buttons) one(id).disabled = false;
          };
        }

        /* Twice as long each time, and not all pages at once. */
        function retry(what) {
          const wait = Math.min(longestWait, firstWait * 2 ** failures) * (0.75 + Math.random() / 2);
          const end = performance.now() + wait * 1000;
          failures += 1;
          const tell = () => {
            const left = end - performance.now();
            if (left <= 0) { connect(); return; }
            state("closed", what + " Try " + failures + " in " + Math.ceil(left / 1000) + " s.");
          };
          timer = setInterval(tell, 250);
          tell();
        }

        function shown(data) {
          if (typeof data === "string") return data;
          const bytes = new Uint8Array(data);
          const first = Array.from(bytes.subarray(0, 32), byte => byte.toString(16).padStart(2, "0"));
          return bytes.length + " bytes: " + first.join(" ") + (bytes.length > 32 ? " …" : "");
        }

        function say(data) {
          if (!socket || socket.readyState !== 1) return;
          waiting.push(performance.now());
          socket.send(data);
        }

        one("where").addEventListener("submit", event => {
          event.preventDefault();
          failures = 0;
          connect();
        });
        one("end").addEventListener("click", () => socket.close(1000));
        one("say").addEventListener("submit", event => {
          event.preventDefault();
          if (!times) say(one("text").value);
        });
        one("bytes").addEventListener("click",
          () => say(new TextEncoder().encode(one("text").value)));
        one("burst").addEventListener("click", () => {
          times = [];
          for (const id of buttons) one(id).disabled = true;
          for (let count = 0; count < 100; count++) say(one("text").value);
        });
        connect();

        """
}
