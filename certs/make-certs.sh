#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes the development authority and a certificate for this machine in certs/, or keeps those that
# still do. Further names may be given: certs/make-certs.sh localhost app.test
set -eu
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- localhost 127.0.0.1 ::1
for sluice in "${SLUICE:-}" .build/release/sluice .build/debug/sluice; do
    if [ -n "$sluice" ] && [ -x "$sluice" ]; then
        exec "$sluice" cert --directory certs "$@"
    fi
done
echo "certs/make-certs.sh: no sluice is built yet; do: swift build" >&2
exit 1
