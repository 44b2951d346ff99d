#!/usr/bin/env bash
# The long fault tests: a sweep is killed at every write, fsync, rename and link in turn and at random moments, the disk
# fails and fills, the clock jumps; after each the same command must end with the same bytes. Then what it costs to
# orchestrate 10,000 runs. Prints what it found; docs/log.md keeps it.
#
# As root on Debian: it installs strace and faketime where they are missing, and mounts a small tmpfs.
#   scripts/check-faults.sh [PART...]     parts: calls random trained fsync disk clock scale; all of them without
# RUNNER names the program, SEED seeds the random moments, ROUNDS is their number (200).
set -euo pipefail
cd "$(dirname "$0")/.."
[ -n "${RUNNER:-}" ] || cargo build --release
runner=$(realpath "${RUNNER:-${CARGO_TARGET_DIR:-target}/release/runner}")
rounds=${ROUNDS:-200}
RANDOM=${SEED:-1}
for tool in strace faketime; do
    command -v "$tool" > /dev/null || apt-get install -y "$tool" > /dev/null
done
# Memory: what the disk does is not the question, and fsync there takes no time.
scratch=$(mktemp -d -p /dev/shm)
trap 'umount "$scratch/small" 2> /dev/null || true; rm -rf "$scratch"' EXIT
cd "$scratch"
# A command that may be killed, without bash's word on it.
unheard() { bash -c '"$@" || true' _ "$@" > /dev/null 2>&1; }
fail() { echo "FAILED: $*"; exit 1; }

# spec FILE RUNS FLOPS: a sweep of so many runs.
spec() {
    cat > "$1" << SPEC
name = "faults"
[data]
source = "synthetic"
vocab = 256
max_epochs = 1.0
seed = 3
[model]
parameterization = "standard"
context = 32
head_dim = 8
width = 32
depth = 2
base_width = 32
[optimizer]
kind = "adamw"
learning_rate = 0.01
batch_tokens = 2560
beta1 = 0.9
beta2 = 0.99
epsilon = 1e-8
weight_decay = 0.1
clip_norm = 1.0
[schedule]
kind = "cosine"
floor = 0.1
warmup_tokens_per_param = 1.0
warmup_max_fraction = 0.2
flops = $3
[eval]
tokens = 8192
curve_points = 10
[sweep]
min_steps = 50
seeds = [$(seq -s, 1 "$2")]
SPEC
}

sweep() { "$runner" sweep "$1.toml" --device rehearsal --slots 2 --out "$1" > /dev/null 2> "$1.err"; }
same() { cmp -s "$1/runs.csv" "$2/runs.csv" && cmp -s "$1/curves.csv" "$2/curves.csv"; }
# No process outlives its sweep: orphans end when they find that nobody listens.
gone() {
    for _ in $(seq 600); do
        pgrep -f "worker --sweep $1 " > /dev/null || return 0
        sleep 0.05
    done
    fail "a worker of $1 lives on"
}
# resumed NAME: the same command ends well, with the bytes of the undisturbed sweep `quiet`.
resumed() {
    gone "$1"
    sweep "$1" || fail "$2: the sweep does not resume: $(tail -3 "$1.err")"
    same "$1" quiet || fail "$2: other bytes"
    "$runner" ledger check "$1" > /dev/null 2>&1 || fail "$2: the ledger is damaged"
}

spec quiet.toml 6 3e10
sweep quiet

calls() {
    local total=0
    for call in write fsync rename linkat unlink ftruncate mkdir flock; do
        # How often the busiest thread makes this call.
        local most at
        rm -rf hit && cp quiet.toml hit.toml
        strace -f -qq -o trace -e "trace=$call" "$runner" sweep hit.toml --device rehearsal --slots 1 --out hit \
            > /dev/null 2>&1
        most=$(cut -d' ' -f1 trace | sort | uniq -c | sort -n | tail -1 | awk '{print $1}')
        for at in $(seq "$most"); do
            rm -rf hit
            # Whichever thread comes to its call of this number is killed with its process, supervisor and workers alike.
            unheard strace -f -qq -o /dev/null -e "trace=$call" -e "inject=$call:signal=SIGKILL:when=$at" \
                "$runner" sweep hit.toml --device rehearsal --slots 1 --out hit
            resumed hit "killed at $call number $at"
        done
        echo "calls: $call: killed at each of $most in turn, resumed to the same bytes"
        total=$((total + most))
    done
    echo "calls: $total kills"
}

random() {
    spec many.toml 150 3e10
    sweep many
    local late=0
    for round in $(seq "$rounds"); do
        rm -rf hit && cp many.toml hit.toml
        setsid "$runner" sweep hit.toml --device rehearsal --slots 2 --out hit > /dev/null 2>&1 &
        local pid=$!
        sleep "0.$(printf '%03d' $((RANDOM % 350)))"
        # In turn the supervisor alone, and the supervisor with its workers.
        local workers
        workers=$(pgrep -P "$pid" || true)
        kill -0 "$pid" 2> /dev/null || late=$((late + 1))
        kill -9 "$pid" 2> /dev/null || true
        [ $((round % 2)) = 0 ] || kill -9 $workers 2> /dev/null || true
        wait "$pid" 2> /dev/null || true
        gone hit
        sweep hit || fail "round $round does not resume: $(tail -3 hit.err)"
        same hit many || fail "round $round: other bytes"
    done
    echo "random: $rounds kills at random moments ($late after the end), resumed to the same bytes"
}

trained() {
    local train=("$runner" sweep deep.toml --device cpu --slots 2 --checkpoint-every 0)
    spec deep.toml 2 1e11
    "${train[@]}" --out deep > /dev/null 2>&1
    # What the clock decides stands in the last two columns.
    cut_times() { rev "$1/runs.csv" | cut -d, -f3- | rev; }
    local kills=0
    rm -rf hit
    while [ "$kills" -lt 12 ]; do
        setsid "${train[@]}" --out hit > /dev/null 2> hit.err &
        local pid=$!
        sleep "1.$(printf '%03d' $((RANDOM % 900)))"
        kill -0 "$pid" 2> /dev/null || break
        kill -9 "$pid" $(pgrep -P "$pid") 2> /dev/null || true
        wait "$pid" 2> /dev/null || true
        gone hit
        kills=$((kills + 1))
    done
    "${train[@]}" --out hit > /dev/null 2> hit.err || fail "trained: $(tail -3 hit.err)"
    [ "$(cut_times hit)" = "$(cut_times deep)" ] && cmp -s hit/curves.csv deep/curves.csv || fail "trained: other bytes"
    local attempts
    attempts=$(find hit/runs -maxdepth 3 -path '*/attempts/*' | wc -l)
    echo "trained: $kills kills of two trained runs in $attempts attempts, same losses and curves to the bit"
}

fsync() {
    for at in $(seq 1 12); do
        rm -rf hit && cp quiet.toml hit.toml
        local code=0
        strace -f -qq -o /dev/null -e trace=fsync -e "inject=fsync:error=EIO:when=$at" \
            "$runner" sweep hit.toml --device rehearsal --slots 1 --out hit > /dev/null 2> hit.err || code=$?
        resumed hit "fsync number $at failed (exit code $code)"
    done
    echo "fsync: each of the first 12 failed in turn, resumed to the same bytes"
}

disk() {
    mkdir -p small
    for size in 64k 128k 192k 256k 320k; do
        mount -t tmpfs -o "size=$size" tmpfs small
        rm -rf hit && cp quiet.toml hit.toml && ln -s small hit
        local code=0
        sweep hit || code=$?
        if [ "$code" != 0 ]; then
            grep -qi "space\|room" hit.err || fail "disk: a full disk is not named: $(tail -3 hit.err)"
        fi
        mount -o remount,size=64m small
        resumed hit "disk of $size"
        echo "disk: $size: exit code $code, with space again the same bytes"
        umount small
        rm hit
    done
}

clock() {
    for jump in '-10y' '+10y' '@2000-01-01 00:00:00 x1000' '@2030-01-01 00:00:00 x0.01'; do
        rm -rf hit && cp quiet.toml hit.toml
        FAKETIME_DONT_FAKE_MONOTONIC=1 timeout 120 faketime -f "$jump" \
            "$runner" sweep hit.toml --device rehearsal --slots 2 --out hit > /dev/null 2> hit.err ||
            fail "clock at $jump: $(tail -3 hit.err)"
        same hit quiet || fail "clock at $jump: other bytes"
    done
    echo "clock: ten years back and forth, a thousand times faster and a hundred times slower: the same bytes"
}

scale() {
    spec large.toml 10000 3e10
    local begun ended
    begun=$(date +%s%N)
    "$runner" plan large.toml --device rehearsal --csv > plan.csv 2> /dev/null
    ended=$(date +%s%N)
    echo "scale: $(($(wc -l < plan.csv) - 1)) runs planned in $(((ended - begun) / 1000000)) ms"
    for place in "$scratch" "${SCALE_DISK:-/var/tmp}"; do
        local out
        out=$(mktemp -d -p "$place")
        begun=$(date +%s%N)
        /usr/bin/time -f '%M %U %S' -o cost "$runner" sweep large.toml --device rehearsal --slots 1 --out "$out/large" \
            > /dev/null 2>&1
        ended=$(date +%s%N)
        # The processor's share is what the orchestration costs; the rest is waiting, for the disk and for a free core.
        echo "scale: on $(stat -f -c %T "$place"): $(((ended - begun) / 10000000)) us a run in all," \
            "$(awk '{printf "%.0f us of the processor, %.0f MB", ($2 + $3) * 100, $1 / 1024}' cost)"
        rm -rf "$out"
    done
}

[ $# -gt 0 ] || set -- calls random trained fsync disk clock scale
for part in "$@"; do
    "$part"
done
