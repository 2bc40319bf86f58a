#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Installs, runs, removes and purges the package in a bare Debian made for it: test-deb.sh PACKAGE
# As root, with debootstrap. It takes some minutes, most of them for making the root; one that is
# given as SLUICE_ROOT is used as it is, and kept.
set -euo pipefail
package=$(realpath "$1")

root=${SLUICE_ROOT:-}
if [ -z "$root" ]; then
  root=$(mktemp -d)
  # For the service account, too.
  chmod 0755 "$root"
  trap 'umount -l "$root/proc" 2>/dev/null || true; rm -rf --one-file-system "$root"' EXIT
  # debootstrap's words go through a pipe: a file beside the root would have a name that others can guess.
  words=$(debootstrap --variant=minbase --include=ca-certificates \
    "$(. /etc/os-release; echo "$VERSION_CODENAME")" "$root" 2>&1) || { tail -20 <<< "$words" >&2; exit 1; }
else
  trap 'umount -l "$root/proc" 2>/dev/null || true' EXIT
fi
mount -t proc proc "$root/proc"
# As an installer leaves it; a bare root has none.
printf '127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost\n' > "$root/etc/hosts"
cp /etc/resolv.conf "$root/etc/resolv.conf" 2>/dev/null || true
install -m 0644 "$package" "$root/tmp/sluice.deb"

inside() { chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive "$@"; }
check() {
  local what=$1
  shift
  if "$@"; then echo "ok    $what"; else echo "FAIL  $what" >&2; exit 1; fi
}
installed() { inside dpkg-query -W -f '${Status}' sluice 2>/dev/null | grep -q 'ok installed'; }
missing() { ! test -e "$root$1"; }

inside apt-get update -q > /dev/null
# The libraries that the control file names come with it, or this fails.
inside apt-get install -q -y --no-install-recommends /tmp/sluice.deb > "$root/tmp/log" 2>&1 || {
  cat "$root/tmp/log" >&2
  exit 1
}
check 'it is installed' installed
check 'the account is there' inside sh -c 'getent passwd sluice > /dev/null'
check 'its folder is for root and the service' \
  test "$(inside stat -c '%U:%G %a' /etc/sluice)" = 'root:sluice 750'
check 'no configuration, so nothing would start' missing /etc/sluice/sluice.yaml
check 'the unit is enabled, for the day when there is one' \
  test -L "$root/etc/systemd/system/multi-user.target.wants/sluice.service"
check 'nothing of it has changed since it was packed' inside dpkg --verify sluice
check 'it says its version' inside sluice --version
# The first screen of the README, as somebody who has just installed it: an app, Sluice, a socket.
inside sh -c '
  sluice echo --listen 127.0.0.1:3000 > /tmp/echo.log & echo=$!
  sluice 3000 > /tmp/sluice.log 2>&1 & sluice=$!
  trap "kill $echo $sluice" EXIT
  for try in $(seq 100); do grep -q "is ready" /tmp/sluice.log && break; sleep 0.1; done
  sluice cert trust --only system && sluice doctor wss://localhost:8443/Esv/ocp' ||
  { cat "$root/tmp/sluice.log" >&2; exit 1; }
inside sh -c '
  sed -e "s/\":443\"/\"127.0.0.1:8444\"/" -e "/redirect: https/d" -e "s|/run/sluice/|/tmp/|" \
    -e "s|/etc/sluice/fullchain.pem|/tmp/c/localhost.pem|" \
    -e "s|/etc/sluice/privkey.pem|/tmp/c/localhost-key.pem|" \
    /usr/share/doc/sluice/examples/sluice.yaml > /etc/sluice/sluice.yaml
  sluice cert --directory /tmp/c > /dev/null && chown -R sluice /tmp/c'
check 'the example is a configuration for the service account' inside \
  setpriv --reuid=sluice --regid=sluice --clear-groups sluice check -c /etc/sluice/sluice.yaml
check 'which serves it' inside sh -c '
  sluice echo --listen 127.0.0.1:3000 > /tmp/echo.log & echo=$!
  setpriv --reuid=sluice --regid=sluice --clear-groups \
    sluice run -c /etc/sluice/sluice.yaml > /tmp/sluice.log 2>&1 & sluice=$!
  trap "kill $echo $sluice" EXIT
  for try in $(seq 100); do grep -q "is ready" /tmp/sluice.log && break; sleep 0.1; done
  sluice doctor --ca /tmp/c/ca.pem wss://127.0.0.1:8444/Esv/ocp'
check 'it is removed' inside sh -c 'apt-get remove -q -y sluice > /tmp/log 2>&1'
check 'the program is gone' missing /usr/bin/sluice
check 'the page is gone' missing /usr/share/man/man1/sluice.1.gz
check 'the configuration of the administrator stays' test -e "$root/etc/sluice/sluice.yaml"
rm -r "$root/etc/sluice"
check 'it is purged' inside sh -c 'apt-get purge -q -y sluice > /tmp/log 2>&1'
check 'the unit is not enabled any more' \
  missing /etc/systemd/system/multi-user.target.wants/sluice.service
left=$(inside find /usr /lib /var/lib/systemd -name '*sluice*' -not -path '*/ca-certificates/*' -not -path '/proc/*')
check "nothing is left of it${left:+: $left}" test -z "$left"
echo 'everything passed'
