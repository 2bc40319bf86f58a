// SPDX-License-Identifier: Apache-2.0
// certified.js PORT CA CERTIFICATE KEY: asks by HTTP/1.1, twice in one session, and by HTTP/2, with a certificate and
// without. Prints a line each.
const fs = require("fs");
const http2 = require("http2");
const https = require("https");
const [port, authority, certificate, key] = process.argv.slice(2);
const trusted = { ca: fs.readFileSync(authority), servername: "localhost" };
const own = { ...trusted, cert: fs.readFileSync(certificate), key: fs.readFileSync(key) };

function asked(options, agent) {
    return new Promise((done, failed) => {
        const request = https.get({ ...options, agent, host: "localhost", port, path: "/who" }, (answer) => {
            let body = "";
            answer.on("data", (piece) => (body += piece));
            answer.on("end", () => done(
                `${answer.statusCode} ${answer.statusCode === 200 ? body : "-"} `
                + (request.reusedSession ? "resumed" : "full")));
        });
        request.on("socket", (socket) => socket.once("secureConnect",
            () => (request.reusedSession = socket.isSessionReused())));
        request.on("error", failed);
    });
}

function askedByHTTP2(options) {
    return new Promise((done, failed) => {
        const session = http2.connect(`https://localhost:${port}`, options);
        session.on("error", failed);
        const stream = session.request({ ":path": "/who" });
        let status = 0, body = "";
        stream.on("response", (fields) => (status = fields[":status"]));
        stream.on("data", (piece) => (body += piece));
        stream.on("end", () => {
            session.close();
            done(`${status} ${status === 200 ? body : "-"} h2`);
        });
        stream.on("error", failed);
    });
}

(async () => {
    for (const options of [own, trusted]) {
        const agent = new https.Agent({ keepAlive: false, maxCachedSessions: 10 });
        console.log(await asked(options, agent));
        console.log(await asked(options, agent));
        console.log(await askedByHTTP2(options));
    }
})();
