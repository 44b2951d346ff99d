#!/usr/bin/env bash
# What wants an NVIDIA card, in stages; each writes its result before the next begins, most wanted first.
#
# Usage: check-gpu.sh [STAGE ...]      stages: devices losses resume speed slots sweep sanitizer   [default: all of them]
#   RUNNER   the program [default: target/release/runner]
#   OUT      folder for the results [default: gpu-check]
#   SECONDS_EACH  length of one measurement of speed [default: 5]
# With RUNNER_CUDA_EMULATOR the stages devices, losses and resume run on the emulated card (docs/gpu.md).
set -uo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
runner=${RUNNER:-${CARGO_TARGET_DIR:-$here/target}/release/runner}
out=${OUT:-gpu-check}
each=${SECONDS_EACH:-5}
mkdir -p "$out"
cache=$out/cache
failed=0
stage() { # name, then a command whose words go to OUT/name.txt
    local name=$1 begun=$SECONDS
    shift
    if "$@" > "$out/$name.txt" 2>&1; then echo "$name: good ($((SECONDS - begun)) s)"; else
        failed=1
        echo "$name: FAILED ($((SECONDS - begun)) s), see $out/$name.txt"
        tail -5 "$out/$name.txt"
    fi
}

devices() { "$runner" devices && "$runner" devices | grep '^ *cuda' | grep -vq 'not available'; }

tiny() { # name, steps, precision: a config of width 32 and one block
    sed 's/^name = .*/name = "tiny"/; s/^width = .*/width = 32/; s/^depth = .*/depth = 1/; s/^vocab = .*/vocab = 256/
         s/^flops = .*/tokens = '$((1024 * $2))'/; s/^tokens = 163840/tokens = 8192/; s/^curve_points = .*/curve_points = 12/' \
        "$here/configs/small.toml" > "$out/$1.toml"
    printf '\n[train]\nprecision = "%s"\n' "$3" >> "$out/$1.toml"
}
train() { # config, device, folder
    "$runner" train "$out/$1.toml" --cache "$cache" --device "$2" --out "$out/$3"
}
compare() { # two folders and the largest difference of a loss
    python3 "$here/scripts/compare-losses.py" "$out/$1" "$out/$2" "$3"
}
steps=300
[ -z "${RUNNER_CUDA_EMULATOR:-}" ] || steps=60

losses() { # f32, tf32 and bf16 on the card against f32 on the CPU, and the same bits a second time
    tiny f32 $steps f32 && tiny tf32 $steps tf32 && tiny bf16 $steps bf16 || return 1
    train f32 cpu cpu && train f32 cuda f32 && train f32 cuda again && train tf32 cuda tf32 && train bf16 cuda bf16 || return 1
    compare cpu f32 1e-3 && compare f32 again 0 && compare cpu tf32 1e-2 && compare cpu bf16 5e-2
}

resume() { # stopped in the middle, gone on with: the same bits
    tiny f32 $((10 * steps)) f32
    [ -z "${RUNNER_CUDA_EMULATOR:-}" ] || tiny f32 $steps f32
    train f32 cuda whole || return 1
    train f32 cuda stopped & pid=$!
    while kill -0 "$pid" 2> /dev/null && ! grep -qs . "$out"/stopped/runs/*/attempts/*/metrics.jsonl; do sleep 0.01; done
    kill -TERM "$pid"
    local code=0
    wait "$pid" || code=$?
    test "$code" = 75 || { echo "expected exit 75 (checkpointed), got $code"; return 1; }
    train f32 cuda stopped && compare whole stopped 0
}

bench() { # config, precision, slots: one JSON line
    sed '/^\[train\]/,/^$/d' "$here/configs/bench-$1.toml" > "$out/bench-$1-$2.toml"
    printf '\n[train]\nprecision = "%s"\n' "$2" >> "$out/bench-$1-$2.toml"
    "$runner" bench --config "$out/bench-$1-$2.toml" --device cuda --seconds "$each" --slots-per-device "$3" --json --cache "$cache"
}
speed() { # one run of each model, beside PyTorch where it is
    for model in a b d e; do
        bench $model bf16 1 || return 1
        python3 "$here/scripts/bench-torch.py" $model 1 "$each" cuda bf16 graph || echo "no line of PyTorch for $model"
    done
    bench a f32 1 && bench a tf32 1
    nvidia-smi --query-gpu=name,driver_version,memory.used,memory.total --format=csv
}
slots() { for model in a b; do for k in 2 4 8 16; do bench $model bf16 $k || return 1; done; done; }

sweep() { # a real small one
    sed 's/^name = .*/name = "smoke"/' "$here/sweeps/quickstart.toml" > "$out/smoke.toml"
    printf '\n[train]\nprecision = "bf16"\n' >> "$out/smoke.toml"
    time "$runner" sweep "$out/smoke.toml" --device cuda --slots-per-device 4 --cache "$cache" --out "$out/smoke"
}

sanitizer() { # memory and races of a short run
    command -v compute-sanitizer > /dev/null || { echo "no compute-sanitizer here"; return 1; }
    tiny short 50 bf16
    for tool in memcheck racecheck; do
        rm -rf "$out/short"
        compute-sanitizer --tool $tool --error-exitcode 9 \
            "$runner" train "$out/short.toml" --cache "$cache" --device cuda --out "$out/short" || return 1
    done
}

[ $# -gt 0 ] || set -- devices losses resume speed slots sweep sanitizer
for name in "$@"; do stage "$name" "$name"; done
exit $failed
