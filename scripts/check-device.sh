#!/usr/bin/env bash
# Trains a tiny model on a device and compares it with the CPU: losses, evaluation, and a run that is interrupted and
# goes on from its checkpoint.
#
# Usage: check-device.sh DEVICE [STEPS]     such as: check-device.sh cuda 600
#   RUNNER   the program [default: target/release/runner]
# The fewer steps, the harder it is to interrupt a fast device in the middle.
set -euo pipefail
device=$1 steps=${2:-60}
here=$(cd "$(dirname "$0")" && pwd)
runner=${RUNNER:-${CARGO_TARGET_DIR:-$here/../target}/release/runner}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Width 32, one block.
sed 's/^name = .*/name = "tiny"/; s/^width = .*/width = 32/; s/^depth = .*/depth = 1/; s/^vocab = .*/vocab = 256/
     s/^flops = .*/tokens = '$((1024 * steps))'/; s/^tokens = 163840/tokens = 8192/; s/^curve_points = .*/curve_points = 12/' \
    "$here/../configs/small.toml" > "$scratch/tiny.toml"

train=("$runner" train "$scratch/tiny.toml" --cache "$scratch/cache")
compare() { # two folders: the curves and the validation losses agree within 1e-3
    python3 "$here/compare-losses.py" "$scratch/$1" "$scratch/$2" 1e-3
}

echo "== the same run on the CPU and on $device"
"${train[@]}" --device cpu --out "$scratch/cpu"
time "${train[@]}" --device "$device" --out "$scratch/device"
compare cpu device

echo "== interrupted, then gone on with"
"${train[@]}" --device "$device" --out "$scratch/again" & pid=$!
while kill -0 "$pid" 2> /dev/null && ! grep -qs . "$scratch"/again/runs/*/attempts/*/metrics.jsonl; do sleep 0.01; done
kill -TERM "$pid" || true
code=0; wait "$pid" || code=$?
test "$code" = 75 || { echo "expected exit 75 (checkpointed), got $code (0: it was faster; give more STEPS)"; exit 1; }
"${train[@]}" --device "$device" --out "$scratch/again"
compare device again
echo "$device: all good"
