#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Makes a Debian package of a program that is built: build-deb.sh PROGRAM FOLDER
set -euo pipefail
cd "$(dirname "$0")/../.."

program=$1
folder=$2
version=$("$program" --version | cut -d' ' -f2)
architecture=$(dpkg --print-architecture)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
umask 022

# Debian's zsh looks for what packages bring in a folder of its own.
make --no-print-directory install-files PROGRAM="$program" DESTDIR="$root" PREFIX=/usr \
  ZSH_FOLDER=/usr/share/zsh/vendor-completions > /dev/null
gzip -9n "$root/usr/share/man/man1/sluice.1"

install -d -m 0755 "$root/etc/sluice"
doc=$root/usr/share/doc/sluice
install -D -m 0644 docs/packaging/debian/copyright "$doc/copyright"
install -D -m 0644 docs/packaging/sluice.yaml "$doc/examples/sluice.yaml"
gzip -9nc CHANGELOG.md > "$doc/changelog.gz"

# The libraries that the program was linked with, as packages that have them.
mkdir -p "$work/debian"
printf 'Source: sluice\n\nPackage: sluice\nArchitecture: any\n' > "$work/debian/control"
depends=$(cd "$work" && dpkg-shlibdeps -O -e"$root/usr/bin/sluice" 2> "$work/complaints") || {
  cat "$work/complaints" >&2
  exit 1
}
depends=${depends#shlibs:Depends=}

install -d "$root/DEBIAN"
sed -e "s/@VERSION@/$version/" -e "s/@ARCHITECTURE@/$architecture/" \
  -e "s/@DEPENDS@/$depends/" -e "s/@SIZE@/$(du -sk --apparent-size "$root" | cut -f1)/" \
  docs/packaging/debian/control > "$root/DEBIAN/control"
for script in postinst prerm postrm; do
  install -m 0755 "docs/packaging/debian/$script" "$root/DEBIAN/$script"
done
(cd "$root" && find usr etc -type f -print0 | sort -z | xargs -0 md5sum > DEBIAN/md5sums)

mkdir -p "$folder"
rm -f "$folder"/sluice_*.deb
package=$folder/sluice_${version}_$architecture.deb
dpkg-deb --root-owner-group --build "$root" "$package" > /dev/null
echo "$package"
