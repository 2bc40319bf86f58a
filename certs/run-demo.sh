#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Starts an echo app and Sluice in front of it, with the certificates of make-certs.sh.
# Ends both when it is interrupted. LISTEN says where to listen (default: loopback, the first free port from 8443 on).
set -euo pipefail
cd "$(dirname "$0")/.."
sluice=.build/release/sluice

# Whether somebody takes connections at a port of this machine.
taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null || (exec 3<>"/dev/tcp/::1/$1") 2>/dev/null; }

listen=${LISTEN:-8443}
if [ -z "${LISTEN:-}" ]; then
    while taken "$listen" && [ "$listen" -lt 8453 ]; do listen=$((listen + 1)); done
fi
port=${listen##*:}
host=localhost
case $listen in *:*) host=${listen%:*} ;; esac
case $host in '' | '*' | 127.0.0.1 | 0.0.0.0 | '[::1]' | '[::]') host=localhost ;; esac

[ -e certs/localhost.pem ] || certs/make-certs.sh

log=$(mktemp)
# In a session of its own, so that Ctrl-C reaches Sluice alone: the app is there until the last socket has closed.
setsid "$sluice" echo --listen 127.0.0.1:0 >"$log" &
echo_app=$!
trap 'kill "$echo_app" 2>/dev/null || true; rm -f "$log"' EXIT
until url=$(sed -n 's/^listening //p' "$log") && [ -n "$url" ]; do
    kill -0 "$echo_app" || { echo "the echo app did not start" >&2; exit 1; }
    sleep 0.05
done

cat <<TEXT
An echo app listens on $url (plain ws). Sluice serves it by TLS; press Ctrl-C to stop.
  page to open  https://$host:$port/        (try the socket by hand)
  its socket    wss://$host:$port/Esv/ocp
  CA to trust   certs/ca.pem        (.build/release/sluice cert trust --directory certs)

Try it from another terminal, with the certificate verified:
  curl --cacert certs/ca.pem https://$host:$port/
  python3 -m venv .venv && .venv/bin/pip install websockets
  SSL_CERT_FILE=certs/ca.pem .venv/bin/python -m websockets wss://$host:$port/Esv/ocp

TEXT
[ "$port" = 8443 ] || [ -n "${LISTEN:-}" ] || echo "notice    port 8443 is taken, so Sluice listens on $port."
"$sluice" "${url#ws://}" --listen "$listen" --cert certs/localhost.pem --key certs/localhost-key.pem &
proxy=$!
trap 'kill "$echo_app" "$proxy" 2>/dev/null || true; rm -f "$log"' EXIT
# A terminal's Ctrl-C reaches Sluice as well, which takes the two for one.
trap 'kill -TERM "$proxy" 2>/dev/null || true' INT TERM
status=0
wait "$proxy" || status=$?
# A signal ends the wait before it ends Sluice.
if [ "$status" -gt 128 ]; then
    status=0
    wait "$proxy" || status=$?
fi
exit "$status"
