# SPDX-License-Identifier: Apache-2.0
"""A Flask app on its own development server."""

import socket

from flask import Flask, request
from werkzeug.serving import make_server

app = Flask(__name__)


@app.route("/form", methods=["POST"])
def form():
    return f"{request.form['name']} by {request.scheme} from {request.headers['X-Forwarded-For']}"


@app.route("/")
def index():
    return "flask"


server = make_server("127.0.0.1", 0, app, threaded=True)
print("port", server.server_port, flush=True)
server.serve_forever()
