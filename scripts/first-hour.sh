#!/usr/bin/env bash
# Plays a stranger's first hour in a real pseudo-terminal of 80 columns: init, plan, a sweep that is stopped by Ctrl-C and
# goes on by the command that it tells, looking at it, one's own text, and mistakes. Fails where the closing lines, the
# headline of `ls`, `show` and `compare`, and the report do not agree. Needs python3 and a built runner (RUNNER, otherwise
# that of the target folder); about a minute of training on two cores, none with `--device rehearsal`.
set -euo pipefail
cd "$(dirname "$0")/.."
export RUNNER="${RUNNER:-${CARGO_TARGET_DIR:-target}/release/runner}"
test -x "$RUNNER" || { echo "no runner at $RUNNER; build it with cargo build --release"; exit 2; }
RUNNER=$(realpath "$RUNNER")
exec python3 scripts/first-hour.py "$@"
