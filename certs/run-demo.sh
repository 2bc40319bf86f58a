#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Starts an echo app and Sluice in front of it, with the certificates of make-certs.sh.
# Ends both when it is interrupted. LISTEN overrides the address (default: localhost, port 8443).
set -euo pipefail
cd "$(dirname "$0")/.."
sluice=.build/release/sluice

log=$(mktemp)
"$sluice" echo --listen 127.0.0.1:0 >"$log" &
echo_app=$!
trap 'kill "$echo_app" 2>/dev/null || true; rm -f "$log"' EXIT
until url=$(sed -n 's/^listening //p' "$log") && [ -n "$url" ]; do
    kill -0 "$echo_app" || { echo "the echo app did not start" >&2; exit 1; }
    sleep 0.05
done

cat <<TEXT
An echo app listens on $url (plain ws). Sluice serves it by TLS; press Ctrl-C to stop.
  page to open  https://localhost:8443/        (try the socket by hand)
  its socket    wss://localhost:8443/Esv/ocp
  CA to trust   certs/ca.pem

Try it from another terminal, with the certificate verified:
  curl --cacert certs/ca.pem https://localhost:8443/
  python3 -m venv .venv && .venv/bin/pip install websockets
  SSL_CERT_FILE=certs/ca.pem .venv/bin/python -m websockets wss://localhost:8443/Esv/ocp

TEXT
listen=()
[ -z "${LISTEN:-}" ] || listen=(--listen "$LISTEN")
"$sluice" "${url#ws://}" --cert certs/localhost.pem --key certs/localhost-key.pem "${listen[@]}" &
proxy=$!
trap 'kill "$echo_app" "$proxy" 2>/dev/null || true; rm -f "$log"' EXIT
trap 'kill -TERM "$proxy" 2>/dev/null || true' INT TERM
wait "$proxy" || true
wait "$proxy" 2>/dev/null || true
