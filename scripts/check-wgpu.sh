#!/usr/bin/env bash
# Trains a tiny model on wgpu through Mesa's software Vulkan and compares it with the CPU: losses, evaluation, and a run
# that is interrupted and goes on from its checkpoint. Needs Debian's packages (installed as root where missing) and a
# build with wgpu: about 25 minutes from nothing on two cores.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$HOME/.cache/runner/target-wgpu}"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

if ! ls /usr/share/vulkan/icd.d/lvp_icd*.json > /dev/null 2>&1; then
    apt-get update -qq && apt-get install -y -qq --no-install-recommends mesa-vulkan-drivers libvulkan1 > /dev/null
fi
cargo build --release --features wgpu
runner="$CARGO_TARGET_DIR/release/runner"
# The software driver, whatever else the machine has; compiled shaders are kept, they are nearly all of the time.
export VK_ICD_FILENAMES="$(ls /usr/share/vulkan/icd.d/lvp_icd*.json | head -1)"
export XDG_RUNTIME_DIR="$scratch" MESA_SHADER_CACHE_DIR="$HOME/.cache/runner/shaders"
mkdir -p "$MESA_SHADER_CACHE_DIR"

# Width 32, one block, 60 steps.
sed 's/^name = .*/name = "tiny"/; s/^width = .*/width = 32/; s/^depth = .*/depth = 1/; s/^vocab = .*/vocab = 256/
     s/^flops = .*/tokens = 61440/; s/^tokens = 163840/tokens = 8192/; s/^curve_points = .*/curve_points = 12/' \
    configs/small.toml > "$scratch/tiny.toml"

train() { "$runner" train "$scratch/tiny.toml" --cache "$scratch/cache" --device "$1" --out "$scratch/$2"; }
compare() { # two folders: the curves and the validation losses agree within 1e-3
    python3 - "$scratch/$1" "$scratch/$2" <<'PYTHON'
import csv, sys
def losses(folder, table, column):
    return [float(row[column]) for row in csv.DictReader(open(f"{folder}/{table}"))]
worst = 0.0
for table, column in (("curves.csv", "train_loss"), ("runs.csv", "val_loss")):
    a, b = (losses(folder, table, column) for folder in sys.argv[1:3])
    assert a and len(a) == len(b), f"{table}: {len(a)} and {len(b)} losses"
    worst = max([worst] + [abs(x - y) for x, y in zip(a, b)])
print(f"largest difference of a loss: {worst:.1e} nats")
assert worst < 1e-3
PYTHON
}

echo "== the same run on the CPU and on wgpu"
train cpu cpu
time train wgpu wgpu
compare cpu wgpu

echo "== interrupted, then gone on with"
train wgpu again & pid=$!
while ! grep -qs . "$scratch"/again/runs/*/attempts/*/metrics.jsonl; do sleep 0.2; done
kill -TERM "$pid"
code=0; wait "$pid" || code=$?
test "$code" = 75 || { echo "expected exit 75 (checkpointed), got $code"; exit 1; }
train wgpu again
compare wgpu again
echo "wgpu: all good"
