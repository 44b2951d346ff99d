#!/usr/bin/env bash
# The code that speaks to NVIDIA's driver and to cuBLASLt, without a card: against libraries that refuse what a card would refuse
# (src/train/cuda/driver/fake), with the machine code of the kernels read for what it needs, and the kernels run on the CPU.
# All stages of check-gpu.sh are rehearsed so; PyTorch and NVIDIA's tools are those of scripts/stand-in.
#
#   usage: scripts/check-driver.sh        needs cargo (for the engine's unit tests), a C++ compiler and python3
#   RUNNER   the program [default: target/release/runner]      TESTS   the program of its unit tests [default: cargo builds it]
set -euo pipefail
cd "$(dirname "$0")/.."
runner=$(realpath "${RUNNER:-${CARGO_TARGET_DIR:-target}/release/runner}")
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
build() { "${CXX:-c++}" -std=c++20 -O2 -shared -fPIC "$@"; }
fake=src/train/cuda/driver/fake
mkdir "$scratch/lib"
build -DON_CPU -Wl,-Bsymbolic -o "$scratch/kernels.so" src/train/cuda/kernels/emulator/emulated.cpp
build -Wall -Wextra -o "$scratch/lib/libcuda.so.1" $fake/cuda.cpp
build -Wall -Wextra -o "$scratch/lib/libcublasLt.so.13" $fake/cublaslt.cpp -L"$scratch/lib" -l:libcuda.so.1

export RUNNER=$runner FAKE_KERNELS=$scratch/kernels.so FAKE_REPORT=$scratch/report
with_card() { LD_LIBRARY_PATH=$scratch/lib "$@"; }
fail() { echo "$1"; exit 1; }
# Nothing was refused since the last look, and nothing stayed behind in any process.
clean() {
    [ -s "$FAKE_REPORT" ] || fail "$1: nobody opened the fake card"
    ! grep -v ': 0 faults, 0 things left' "$FAKE_REPORT" || fail "$1: the driver is not used as it must be"
    rm "$FAKE_REPORT"
    echo "$1: good"
}
says() { # a message, and a command that must print it
    local text=$1
    shift
    with_card "$@" > "$scratch/said" 2>&1 || true
    grep -qF "$text" "$scratch/said" || { cat "$scratch/said"; fail "expected: $text"; }
}

says 'knows CUDA 12.2; install driver 550' env FAKE_VERSION=12020 "$runner" devices
says 'CUDA_VISIBLE_DEVICES="" hides every card' env CUDA_VISIBLE_DEVICES= "$runner" devices
says 'CUDA_VISIBLE_DEVICES="-1" hides every card' env CUDA_VISIBLE_DEVICES=-1 "$runner" devices
says 'seen: a fake card (too old: compute capability 7.5))' env FAKE_CAPABILITY=75 "$runner" devices
says 'nvidia-fabricmanager' env FAKE_INIT=802 "$runner" devices
says 'does not tell its cards: the driver sees no card' env FAKE_COUNT=100 "$runner" devices
clean "cards that cannot be used"

# All stages of a real card, on this one. Unit tests that are too much for a CPU are left out.
tests=${TESTS:-cargo test --release --lib --}
printf '#!/bin/sh\nexec %s "$@" --skip the_benchmark --skip parts::low_precision\n' "$tests" > "$scratch/tests"
printf '#!/bin/sh\nPYTHONPATH=%s exec python3 "$@"\n' "$PWD/scripts/stand-in" > "$scratch/python"
chmod +x "$scratch/tests" "$scratch/python"
export FAKE_TOOLS=$scratch/tools PYTHON=$scratch/python PATH=$PWD/scripts/stand-in:$PATH
OUT=$scratch TESTS=$scratch/tests SECONDS_EACH=0.1 LIMIT=1800 TOTAL=3600 with_card scripts/check-gpu.sh > "$scratch/said" || { cat "$scratch/said"; exit 1; }
grep ': good (' "$scratch/said"
grep -h '^test result' "$scratch/tests.txt"
[ "$(cat "$scratch/tools")" = $'memcheck\nracecheck' ] || fail "the sanitizer has other tools"
python3 scripts/stand-in/check-table.py "$scratch/speed.jsonl" "$scratch/gpu.csv"
clean "all stages of a card"

# What goes wrong with a stage is told, and the next one has its turn.
stages() { OUT=$scratch/wrong with_card env "$@" > "$scratch/said" 2>&1 && fail "check-gpu.sh does not fail: $*" || code=$?; }
told() { grep -q "$1" "$scratch/said" || { cat "$scratch/said"; fail "expected: $1"; }; }
stages FAKE_FINDS=memcheck scripts/check-gpu.sh sanitizer
told '^sanitizer: FAILED'
told '1 error'
stages TOTAL=0 scripts/check-gpu.sh devices
told '^devices: left out, 0 s are over'
stages scripts/check-gpu.sh devices speed
[ "$code" = 2 ] || fail "a stage that is none ends with $code"
told 'no stage speed; there are: devices sanitizer'
# A program that hangs and hears no signal, and its child. Its stage wants PyTorch, which would wait for its gate for ever.
printf '#!/bin/bash\ntrap "" TERM\necho cuda\n[ $1 = devices ] || sleep 4321\n' > "$scratch/hangs"
chmod +x "$scratch/hangs"
stages RUNNER="$scratch/hangs" LIMIT=1 scripts/check-gpu.sh small devices
told '^small: FAILED'
told '^devices: good'
! pgrep -f 'sleep 4321' > /dev/null || fail "what hangs is not ended"
! kill -0 "$(cat "$scratch/wrong/torch-a.pid")" 2> /dev/null || fail "PyTorch is not ended with its stage"
echo "stages that fail, hang, come too late or are none: good"

train() { "$runner" train "$scratch/$1.toml" --cache "$scratch/cache" --device cuda --out "$scratch/$2"; }
export -f train
export scratch runner
FAKE_CAPABILITY=80 FAKE_POOLS=0 with_card bash -c 'train f32 text' > "$scratch/said" 2>&1 || { cat "$scratch/said"; exit 1; }
python3 scripts/compare-losses.py "$scratch/f32" "$scratch/text" 0
clean "kernels as text, as cards other than Hopper take them, and memory without an order"
says 'our own kernel does it' env FAKE_REFUSED=1 bash -c 'train bf16 refused'
python3 scripts/compare-losses.py "$scratch/bf16" "$scratch/refused" 1e-2
grep -q '"driver": *"[^"]*cuBLASLt 13.0.2 and own products"' -r "$scratch/refused" || fail "nobody notes who did the products"
says 'has no algorithm for a product' env FAKE_NONE=1 bash -c 'train bf16 none'
python3 scripts/compare-losses.py "$scratch/refused" "$scratch/none" 0
says 'cannot take' env FAKE_MIB=1 bash -c 'train bf16 full'
# Memory for the run, and none for what its products want.
says 'cuBLASLt: there is no room left' env FAKE_MIB=20 bash -c 'train bf16 fuller'
! grep -q 'pip install' "$scratch/said" || fail "a library that is there is to be installed"
says 'out of memory: a product of' env FAKE_STATUS=3 bash -c 'train bf16 fullest'
says 'CUBLAS_STATUS_INTERNAL_ERROR' env FAKE_STATUS=14 bash -c 'train bf16 inside'
says 'this machine, not the card' env FAKE_PINNED=2 bash -c 'train bf16 pinned'
clean "products that the library refuses, and a full card"

# A card that is lost in the middle of a sweep of four runs, two at a time.
sed 's/^name = .*/name = "slice"/' "$scratch/bf16.toml" > "$scratch/sweep.toml"
printf '\n[sweep]\nseeds = [1]\nmin_steps = 50\n[sweep.axes]\n"optimizer.learning_rate" = [0.001, 0.002, 0.004, 0.008]\n' >> "$scratch/sweep.toml"
sweep() { "$runner" sweep "$scratch/sweep.toml" --cache "$scratch/cache" --device cuda --slots-per-device 2 --out "$scratch/$1" "${@:2}"; }
export -f sweep
with_card bash -c 'sweep undisturbed' > "$scratch/said" 2>&1 || { cat "$scratch/said"; exit 1; }
clean "a sweep of two runs at a time, with their steps together"
with_card bash -c 'sweep apart --share-steps=false' > "$scratch/said" 2>&1 || { cat "$scratch/said"; exit 1; }
FAKE_SINGLE=1 with_card bash -c 'sweep single' > "$scratch/said" 2>&1 || { cat "$scratch/said"; exit 1; }
grep -q 'one run after another, which is slower' "$scratch/said" || fail "nobody says that products are done one by one"
# Sums in parts, whose memory for two runs at once is more than that for one may be.
FAKE_SPLIT=600 with_card bash -c 'sweep split' > "$scratch/said" 2>&1 || { cat "$scratch/said"; exit 1; }
! grep -q 'one run after another' "$scratch/said" || fail "products whose sums are in parts are done one by one"
FAKE_NO_GRAPHS=1 with_card bash -c 'sweep unrecorded' > "$scratch/said" 2>&1 || { cat "$scratch/said"; exit 1; }
for how in apart single split unrecorded; do python3 scripts/compare-losses.py "$scratch/undisturbed" "$scratch/$how" 0; done
clean "the same with steps of their own, with a library that does one product at a time or sums in parts, and without room for graphs"
DEVICE=cuda SPEC=$scratch/sweep.toml with_card scripts/check-slice.sh
clean "a sweep in slices of time"
touch "$scratch/lost"
FAKE_LOST=$scratch/lost with_card bash -c 'sweep disturbed' > "$scratch/said" 2>&1 || { cat "$scratch/said"; exit 1; }
[ ! -e "$scratch/lost" ] || fail "the card was not lost"
grep -q 'the card was lost' "$scratch/said" || { cat "$scratch/said"; fail "nobody says that the card was lost"; }
python3 scripts/compare-losses.py "$scratch/undisturbed" "$scratch/disturbed" 0
! grep FAULT "$FAKE_REPORT" || fail "a lost card: the driver is not used as it must be"
rm "$FAKE_REPORT"
echo "a lost card: good"
