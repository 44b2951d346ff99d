#!/usr/bin/env bash
# A small sweep in slices on the CPU (gpu-slice.sh): it is stopped by the end of its time, goes on from what came back, on a
# machine that has nothing else, and ends with the losses of a sweep that nobody stopped.
#
#   usage: scripts/check-slice.sh      RUNNER  the program [default: target/release/runner]
#   DEVICE  to train on [default: cpu]
#   SPEC    a sweep whose name is slice [default: the quickstart's, with one budget]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
export RUNNER=${RUNNER:-${CARGO_TARGET_DIR:-$here/../target}/release/runner} DEVICE=${DEVICE:-cpu} SLOTS=2 RESERVE=5 LEVEL=0
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/home"
cd "$scratch/home"
if [ -n "${SPEC:-}" ]; then
    cp "$SPEC" slice.toml
else
    sed 's/^name = .*/name = "slice"/; s/^budgets = .*/budgets = [3e11]/; s/^tokens = 163840/tokens = 8192/' \
        "$here/../sweeps/quickstart.toml" > slice.toml
fi
begun=$(date +%s)
"$RUNNER" sweep slice.toml --device "$DEVICE" --slots-per-device 2 --cache "$scratch/cache" --out "$scratch/whole" > "$scratch/log" 2>&1 || { tail "$scratch/log"; exit 1; }
# About half of what all of it took, so that a fast machine is stopped too.
SLICE=${SLICE:-$((RESERVE + 3 + ($(date +%s) - begun) / 2))}

stopped=0 slices=0 code=75
while [ "$code" = 75 ]; do
    slices=$((slices + 1))
    [ "$slices" -le 30 ] || { echo "30 slices were not enough"; exit 1; }
    "$here/gpu-slice.sh" pack slice.toml "$scratch/in"
    # Another machine each time.
    rm -rf "$scratch/machine" && mkdir "$scratch/machine" && cp "$scratch"/in/in.* "$scratch/machine/"
    code=0
    "$here/gpu-slice.sh" "$SLICE" "$scratch/machine" > "$scratch/log" 2>&1 || code=$?
    [ "$code" = 0 ] || [ "$code" = 75 ] || { tail "$scratch/log"; echo "a slice ended with $code"; exit 1; }
    stopped=$((stopped + (code == 75)))
    "$here/gpu-slice.sh" take slice.toml "$scratch/machine"
done
test "$stopped" -gt 0 || { echo "nothing was stopped: give less time by SLICE"; exit 1; }
python3 "$here/compare-losses.py" "$scratch/whole" results/slice 0
echo "$slices slices, $stopped of them stopped: the same losses as in one go"
