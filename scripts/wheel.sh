#!/usr/bin/env bash
# Builds the wheel of python/: the program and the Python package `isoflop`, into dist/. Nothing is published.
# It runs where glibc is as new as the functions that the program uses: built on Debian 12 its tag is manylinux_2_35, which is
# Ubuntu 22.04 and newer. On an older system build it there.
#
# Usage: scripts/wheel.sh [FLAGS OF MATURIN...]     such as --no-default-features, which trains nothing and builds sooner
#   PYTHON   a Python that has maturin [default: that of check-export.sh, into which it is installed]
set -euo pipefail
cd "$(dirname "$0")/.."
if [ -z "${PYTHON:-}" ]; then
    venv="$HOME/.cache/runner/venv-export"
    PYTHON="$venv/bin/python"
    [ -x "$PYTHON" ] || python3 -m venv "$venv"
    "$PYTHON" -c "import maturin" 2> /dev/null || "$venv/bin/pip" install -q maturin
fi
out=$(realpath -m "${OUT:-dist}")
cd python
"$PYTHON" -m maturin build --release --out "$out" "$@"
