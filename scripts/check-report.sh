#!/bin/sh
# Opens reports in headless Chromium and checks what stands in the page after its script ran and what a pointer does to it:
# rehearsed sweeps, one with a hostile failure, a page of a hostile name, a page with a strange script put into it, and the
# page that `runner watch` serves while a sweep goes on. Pictures at the widths of a desk and a phone, light and dark, and
# pages printed to PDF are left in $OUT for a person to look at.
#
# Usage: scripts/check-report.sh
#   RUNNER   the program [default: target/release/runner]
#   OUT      where pages and pictures go [default: a new folder below /tmp]
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
runner=$(realpath "${RUNNER:-${CARGO_TARGET_DIR:-$here/../target}/release/runner}")
[ -x "$runner" ] || { echo "$runner is not there; build it with cargo build --release" >&2; exit 2; }
if ! command -v chromium >/dev/null 2>&1 || ! command -v pdftoppm >/dev/null 2>&1; then
    echo "chromium or poppler-utils is missing: installing them from Debian" >&2
    apt-get update -q && apt-get install -y -q --no-install-recommends chromium poppler-utils
fi

out=${OUT:-$(mktemp -d /tmp/check-report.XXXXXX)}
mkdir -p "$out"
export RUNNER_CACHE="$out/cache"

# Without a corpus to fetch: the built-in language instead.
rehearse() { # spec, folder
    "$runner" sweep "$1" --device rehearsal --out "$2" >/dev/null 2>"$out/sweep.log" || { cat "$out/sweep.log" >&2; exit 1; }
}
rehearse "$here/../sweeps/quickstart.toml" "$out/plain"
for name in mup-transfer isoflop-mup; do
    sed -e 's/^source = .*/source = "synthetic"/' -e '/^path = /d' -e '/^validation_fraction = /d' "$here/../sweeps/$name.toml" >"$out/$name.toml"
    rehearse "$out/$name.toml" "$out/other-$name"
done
# Written by the test of hostile names, where the tests have run.
hostile=${CARGO_TARGET_DIR:-$here/../target}/tmp/report/hostile/report.html
python3 "$here/check-report.py" "$runner" "$out" "$hostile"
echo "pages and pictures are in $out"
