#!/usr/bin/env bash
# What wants an NVIDIA card, in stages; each writes its result before the next begins, most wanted first, seven minutes in all.
#
# Usage: check-gpu.sh [STAGE ...]      [default: all of them, in this order]
#   devices     the card is seen                                sanitizer  memory and races of a short run (half of LIMIT)
#   losses      300 steps against the CPU, and the same bits; with cuBLASLt, with our own products, and of kernels as text
#   tests       the engine's unit tests, of the program in TESTS resume     stopped, gone on with: the same bits
#   together    five runs with steps together and by themselves: the same bits
#   small       one run of models a and b beside PyTorch        slots      4 and 16 runs of a and b at once, by both ways
#   large       one run of models d and e beside PyTorch        sweep      the quickstart's sweep
#   precisions  models a and d in f32 and tf32
#
#   RUNNER   the program [default: target/release/runner]        OUT     folder for the results [default: gpu-check]
#   SECONDS_EACH  length of one measurement of speed [default: 2]
#   PYTHON   an interpreter with PyTorch [default: python3]      LIMIT   seconds for one stage [default: 150]
#   TOTAL    seconds after which no further stage begins [default: 400]
#   TESTS    the program of unit tests that `cargo test --release --lib --no-run` builds [default: none, and they are left out]
# Every speed is a line of OUT/speed.jsonl; OUT/gpu.csv is its table (columns: docs/gpu.md), written again after each stage.
# The exit code is 1 if a stage failed or was left out. With RUNNER_CUDA_EMULATOR the stages run on the emulated card
# (docs/gpu.md), where speeds mean nothing; scripts/check-driver.sh rehearses all of them.
set -uo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
runner=${RUNNER:-${CARGO_TARGET_DIR:-$here/target}/release/runner}
out=${OUT:-gpu-check}
each=${SECONDS_EACH:-2}
python=${PYTHON:-python3}
mkdir -p "$out"
cache=$out/cache
export runner out each python cache here

steps=300 batch=1024 unseen=8192 length=12000 company=1638400 numbers="4 16" model_size="" sweep_size=""
# Where the kernels run on a CPU all is as small as may be. Sizes are lines of sed for a spec; so small a sweep has too few sizes for a fit.
if [ -n "${RUNNER_CUDA_EMULATOR:-}${FAKE_KERNELS:-}" ]; then
    steps=50 batch=128 unseen=1024 length=50 company=1600 numbers="2 4"
    model_size="s/^width = .*/width = 16/; s/^depth = .*/depth = 1/; s/^head_dim = .*/head_dim = 16/; s/^vocab = .*/vocab = 256/
        s/^context = .*/context = 32/; s/^batch_tokens = .*/batch_tokens = 32/; s/^tokens = 16384/tokens = 1024/"
    sweep_size="s/^budgets = .*/budgets = [1.1e8, 1.2e8, 1.3e8]/; s/^head_dim = .*/head_dim = 16/; s/^spread = .*/spread = 2.0/; s/^min_steps = .*/min_steps = 50/
        s/^expected_tokens_per_param = .*/expected_tokens_per_param = 0.1/; s/^context = .*/context = 32/
        s/^batch_tokens = .*/batch_tokens = 32/; s/^tokens = 163840/tokens = 1024/; s/^curve_points = .*/curve_points = 10/"
fi

devices() {
    "$runner" devices > "$out/list.txt"
    cat "$out/list.txt"
    nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader || true
    grep '^ *cuda' "$out/list.txt" | grep -v 'not available' > /dev/null
}

tiny() { # name, steps, precision: a config of width 32 and one block
    sed 's/^name = .*/name = "tiny"/; s/^width = .*/width = 32/; s/^depth = .*/depth = 1/; s/^vocab = .*/vocab = 256/
         s/^flops = .*/tokens = '$((batch * $2))'/; s/^batch_tokens = .*/batch_tokens = '$batch'/; s/^tokens = 163840/tokens = '$unseen'/; s/^curve_points = .*/curve_points = 12/' \
        "$here/configs/small.toml" > "$out/$1.toml"
    printf '\n[train]\nprecision = "%s"\n' "$3" >> "$out/$1.toml"
}
train() { # config, device, folder
    "$runner" train "$out/$1.toml" --cache "$cache" --device "$2" --out "$out/$3"
}
compare() { # two folders and the largest difference of a loss
    python3 "$here/scripts/compare-losses.py" "$out/$1" "$out/$2" "$3"
}

losses() { # f32, tf32 and bf16 on the card against f32 on the CPU, and the same bits a second time; then what cards without a library take
    rm -rf "$out"/{cpu,f32,again,tf32,bf16,own-tf32,own-bf16,own-text}
    tiny f32 $steps f32 && tiny tf32 $steps tf32 && tiny bf16 $steps bf16 || return 1
    train f32 cpu cpu && train f32 cuda f32 && train f32 cuda again && train tf32 cuda tf32 || return 1
    # The library writes what it chose for each product.
    CUBLASLT_LOG_LEVEL=5 CUBLASLT_LOG_FILE=$out/cublaslt.log train bf16 cuda bf16 || return 1
    compare cpu f32 1e-3 && compare f32 again 0 && compare cpu tf32 1e-2 && compare cpu bf16 5e-2 || return 1
    export RUNNER_CUBLASLT=none
    train tf32 cuda own-tf32 && train bf16 cuda own-bf16 || return 1
    local begun=$SECONDS
    CUDA_FORCE_PTX_JIT=1 train bf16 cuda own-text || return 1
    echo "with kernels translated from text by the driver: $((SECONDS - begun)) s"
    compare cpu own-tf32 1e-2 && compare cpu own-bf16 5e-2 && compare own-bf16 own-text 1e-3
}

resume() { # stopped in the middle, gone on with: the same bits
    rm -rf "$out"/{whole,stopped}
    # Long enough to be stopped: some seconds at the speed of a card.
    tiny long "$length" f32
    train long cuda whole || return 1
    # Not by `train`, whose process would be a shell of its own.
    "$runner" train "$out/long.toml" --cache "$cache" --device cuda --out "$out/stopped" & local pid=$!
    while kill -0 "$pid" 2> /dev/null && ! grep -qs . "$out"/stopped/runs/*/attempts/*/metrics.jsonl; do sleep 0.01; done
    kill -TERM "$pid"
    local code=0
    wait "$pid" || code=$?
    test "$code" = 75 || { echo "expected exit 75 (checkpointed), got $code"; return 1; }
    train long cuda stopped && compare whole stopped 0
}

bench() { # model, precision, runs, further flags: a line of speed.jsonl
    sed -e '/^\[train\]/,/^$/d' -e "$model_size" "$here/configs/bench-$1.toml" > "$out/bench-$1-$2.toml"
    printf '\n[train]\nprecision = "%s"\n' "$2" >> "$out/bench-$1-$2.toml"
    "$runner" bench --config "$out/bench-$1-$2.toml" --device cuda --seconds "$each" --slots-per-device "$3" "${@:4}" --json --cache "$cache" \
        > "$out/line.json" || return 1
    sed "s/^{/{\"precision\":\"$2\",/" "$out/line.json" | tee -a "$out/speed.jsonl" | cut -c1-200
}
compile() { # model: PyTorch's, in the background; it measures once its gate is opened
    rm -f "$out/gate-$1"
    BENCH_GATE=$out/gate-$1 "$python" "$here/scripts/bench-torch.py" "$1" 1 "$each" cuda bf16 graph > "$out/torch-$1.json" 2> "$out/torch-$1.txt" &
    echo $! > "$out/torch-$1.pid"
}
torch() { # model: a line of speed.jsonl, of bf16 compiled and as a graph
    touch "$out/gate-$1"
    while kill -0 "$(cat "$out/torch-$1.pid")" 2> /dev/null; do sleep 0.05; done
    if [ -s "$out/torch-$1.json" ]; then tee -a "$out/speed.jsonl" < "$out/torch-$1.json"; else echo "no line of PyTorch for $1" && tail -3 "$out/torch-$1.txt"; fi
}
# Ours, PyTorch, ours: what the card does to the one it does to the other.
beside() { for model in "$@"; do bench "$model" bf16 1 && torch "$model" && bench "$model" bf16 1 || return 1; done; }
small() { beside a b; }
large() { beside d e; }
together() { # five runs of models a and b with their steps together and each by itself: the same losses
    local model how
    for model in a b; do
        sed -e '/^\[train\]/,/^$/d' -e "$model_size" -e "s/^tokens_per_param = .*/tokens = $company/" "$here/configs/bench-$model.toml" \
            > "$out/five-$model.toml"
        printf '\n[train]\nprecision = "bf16"\n[sweep]\nseeds = [1, 2, 3, 4, 5]\nmin_steps = 50\n' >> "$out/five-$model.toml"
        for how in true false; do
            rm -rf "$out/five-$model-$how"
            "$runner" sweep "$out/five-$model.toml" --device cuda --slots-per-device 4 --share-steps=$how --cache "$cache" \
                --out "$out/five-$model-$how" || return 1
        done
        compare "five-$model-true" "five-$model-false" 0 || return 1
    done
}
slots() { # with their steps together, in the same launches, and each on a stream of its own
    for model in a b; do for runs in $numbers; do bench $model bf16 $runs --share-steps && bench $model bf16 $runs || return 1; done; done
}
precisions() { for model in a d; do bench $model tf32 1 && bench $model f32 1 || return 1; done; }

sweep() { # a real small one
    rm -rf "$out/smoke"
    sed -e 's/^name = .*/name = "smoke"/' -e "$sweep_size" "$here/sweeps/quickstart.toml" > "$out/smoke.toml"
    printf '\n[train]\nprecision = "bf16"\n' >> "$out/smoke.toml"
    local begun=$SECONDS
    "$runner" sweep "$out/smoke.toml" --device cuda --slots-per-device 8 --cache "$cache" --out "$out/smoke" || return 1
    echo "the quickstart's sweep took $((SECONDS - begun)) s (to reach: below 30)"
}

sanitizer() { # memory and races of a short run
    command -v compute-sanitizer > /dev/null || { echo "no compute-sanitizer here"; return 1; }
    # As few steps as a run may have.
    tiny short 50 bf16
    # With our own products: NVIDIA's are not what is looked for, and patching them takes long.
    export RUNNER_CUBLASLT=none
    for tool in memcheck racecheck; do
        rm -rf "$out/short"
        compute-sanitizer --tool $tool --error-exitcode 9 \
            "$runner" train "$out/short.toml" --cache "$cache" --device cuda --out "$out/short" || return 1
    done
}

tests() { # those of the engine, on the first card instead of the emulated one
    [ -n "${TESTS:-}" ] || { echo "left out: TESTS names no program"; return 0; }
    RUNNER_TEST_CARD=0 "$TESTS" --test-threads 4 train::cuda train::side_by_side
}

all=(devices sanitizer losses tests resume together small slots large sweep precisions)
[ $# -gt 0 ] || set -- "${all[@]}"
for name in "$@"; do
    case " ${all[*]} " in *" $name "*) ;; *) echo "no stage $name; there are: ${all[*]}"; exit 2 ;; esac
done
[ -x "$runner" ] || { echo "no program at $runner; build it (cargo build --release), or name it by RUNNER"; exit 2; }
export steps batch unseen length company numbers model_size sweep_size
export -f devices tiny train compare losses resume together bench torch beside small large slots precisions sweep sanitizer tests
trap 'kill $(cat "$out"/torch-*.pid 2> /dev/null) 2> /dev/null' EXIT
models() { case $1 in small) echo a b ;; large) echo d e ;; esac; } # that a stage measures beside PyTorch
for name in "$@"; do
    for model in $(models "$name"); do compile "$model"; done
done
failed=0
for name in "$@"; do
    begun=$SECONDS
    if [ "$begun" -ge "${TOTAL:-400}" ]; then
        failed=1
        echo "$name: left out, $begun s are over (TOTAL)"
        continue
    fi
    # Under the sanitizer a program is slow, and others are to have their turn.
    limit=${LIMIT:-150}
    [ "$name" != sanitizer ] || limit=$((limit / 2))
    # A shell of its own, so that a stage that hangs is ended with all that it started. It waits for a program that hears no
    # signal: else nobody would kill that.
    if timeout --kill-after=10 "$limit" bash -uo pipefail -c "trap 'exit 143' TERM; $name" > "$out/$name.txt" 2>&1; then
        echo "$name: good ($((SECONDS - begun)) s)"
    else
        failed=1
        echo "$name: FAILED ($((SECONDS - begun)) s), see $out/$name.txt"
        tail -5 "$out/$name.txt"
    fi
    # PyTorch of a stage that was ended would disturb the next one.
    for model in $(models "$name"); do kill "$(cat "$out/torch-$model.pid")" 2> /dev/null; done
    if [ -s "$out/speed.jsonl" ]; then python3 "$here/scripts/gpu-table.py" "$out/speed.jsonl" "$out/gpu.csv"; fi
done
[ ! -s "$out/gpu.csv" ] || column -s, -t < "$out/gpu.csv" || cat "$out/gpu.csv"
exit $failed
