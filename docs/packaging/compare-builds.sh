#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Builds the last commit twice from nothing, in folders of different names, and compares what `make dist` makes:
# compare-builds.sh [FOLDER]. Ends with 1 where something differs, and says in which section. It takes two full builds
# and some 4 GB. JOBS says how many compilers run at once.
set -euo pipefail
repository=$(cd "$(dirname "$0")/../.." && pwd)
work=${1:-$(mktemp -d)}
mkdir -p "$work"
folders=("$work/one" "$work/another-with-a-longer-name")
for folder in "${folders[@]}"; do
  rm -rf "$folder"
  git clone -q "$repository" "$folder"
  make --no-print-directory -C "$folder" dist ${JOBS:+BUILD_OPTIONS="-j $JOBS"} > "$folder.log" 2>&1 || {
    tail -20 "$folder.log" >&2
    exit 1
  }
done

status=0
cd "${folders[0]}/.build/dist"
for file in *.deb *.tar.gz; do
  if cmp -s "$file" "${folders[1]}/.build/dist/$file"; then
    echo "same     $file"
  else
    echo "differs  $file"
    status=1
  fi
done
# The programs as they are packed.
for index in 0 1; do
  tar -C "$work" -xzf "${folders[$index]}"/.build/dist/sluice-*.tar.gz --strip-components=2 --wildcards '*/bin/sluice'
  mv "$work/sluice" "$work/sluice-$index"
done
if cmp -s "$work/sluice-0" "$work/sluice-1"; then
  echo "same     bin/sluice, $(sha256sum < "$work/sluice-0" | cut -d' ' -f1)"
else
  echo "differs  bin/sluice, in these sections:"
  sections() { size -A -d "$1" | awk 'NF == 3 { print $1, $2 }'; }
  diff <(sections "$work/sluice-0") <(sections "$work/sluice-1") | sed -n 's/^[<>]/  size: &/p' || true
  for section in $(readelf -SW "$work/sluice-0" | sed -n 's/^ *\[ *[0-9]*\] \([^ ]*\) *PROGBITS.*/\1/p'); do
    cmp -s <(readelf -x "$section" "$work/sluice-0") <(readelf -x "$section" "$work/sluice-1") || echo "  $section"
  done
  diff <(strings -a "$work/sluice-0") <(strings -a "$work/sluice-1") | grep -F "$work" | head || true
  status=1
fi
exit $status
