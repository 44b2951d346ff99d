#!/bin/sh
# Opens reports in headless Chromium and checks what stands in the page after its script ran: a rehearsed sweep, one with
# a hostile failure, a page of a hostile name, a page with a strange script put into it, and the page that `runner watch`
# serves while a sweep goes on. Pictures at the widths of a desk and a phone, light and dark, are left in $OUT for a person
# to look at.
#
# Usage: scripts/check-report.sh [RUNNER]     a built runner, otherwise target/release/runner
#        OUT=folder                           where pages and pictures go, otherwise a new one below /tmp
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
runner=$(realpath "${1:-$here/../target/release/runner}")
[ -x "$runner" ] || { echo "$runner is not there; build it with cargo build --release" >&2; exit 2; }
if ! command -v chromium >/dev/null 2>&1; then
    echo "chromium is missing: installing it from Debian" >&2
    apt-get update -q && apt-get install -y -q --no-install-recommends chromium
fi

out=${OUT:-$(mktemp -d /tmp/check-report.XXXXXX)}
mkdir -p "$out"
export RUNNER_CACHE="$out/cache"

"$runner" sweep "$here/../sweeps/quickstart.toml" --device rehearsal --out "$out/plain" >/dev/null 2>"$out/sweep.log" \
    || { cat "$out/sweep.log" >&2; exit 1; }
# Written by the test of hostile names, where the tests have run.
hostile=${CARGO_TARGET_DIR:-$here/../target}/tmp/report/hostile/report.html
python3 "$here/check-report.py" "$runner" "$out" "$hostile"
echo "pages and pictures are in $out"
