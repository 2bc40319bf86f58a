#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Packs a program that is built, with all that belongs to it: build-tarball.sh PROGRAM FOLDER
# To be unpacked into /usr/local, or anywhere. With the same program, SOURCE_DATE_EPOCH and sources it comes out
# the same to the byte.
set -euo pipefail
cd "$(dirname "$0")/../.."

program=$1
folder=$2
name=sluice-$("$program" --version | cut -d' ' -f2)-linux-$(uname -m)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
umask 022

make --no-print-directory install-files PROGRAM="$program" DESTDIR="$work/root" PREFIX=/usr/local > /dev/null
mv "$work/root/usr/local" "$work/$name"
doc=$work/$name/share/doc/sluice
install -D -m 0644 -t "$doc" README.md CHANGELOG.md LICENSE
sed 's|/usr/share/|/usr/local/share/|' docs/packaging/sluice.yaml > "$work/sluice.yaml"
install -D -m 0644 "$work/sluice.yaml" "$doc/examples/sluice.yaml"

mkdir -p "$folder"
rm -f "$folder"/sluice-*.tar.gz
tar -C "$work" --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner \
  --format=ustar -c "$name" | gzip -9n > "$folder/$name.tar.gz"
echo "$folder/$name.tar.gz"
