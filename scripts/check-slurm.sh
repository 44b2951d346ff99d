#!/usr/bin/env bash
# Sweeps on a real Slurm of two emulated nodes with fake GPUs, disturbed in every way below, must end with the tables
# of a local sweep. About 6 minutes, as root on Debian; elsewhere it says why not and ends with 0.
#
# Usage: scripts/check-slurm.sh
#   RUNNER   the program [default: target/release/runner, built with cargo]
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
scratch=$(mktemp -d "${TMPDIR:-/tmp}/check-slurm.XXXXXX")
slurm() { "$root/scripts/slurm.sh" "$1" "$scratch/slurm" "${@:2}"; }
clean() {
    # What still waits for a sweep, and then the daemons.
    for job in $(jobs -p); do
        pkill -P "$job" || true
    done
    slurm down || true
    rm -rf "$scratch"
}
trap clean EXIT
trap 'exit 1' HUP INT TERM
step() { printf '\n-- %s (%ss)\n' "$1" "$SECONDS"; }
fail() {
    printf 'FAILED: %s\n' "$*" >&2
    tail -n 15 "$scratch"/*.err "$scratch"/*/slurm/logs/*.log >&2 2>/dev/null || true
    tail -n 15 "$scratch"/slurm/log/slurmctld.log >&2 2>/dev/null || true
    exit 1
}
# Waits until a command succeeds: until_true SECONDS WHAT COMMAND...
until_true() {
    local patience=$1 what=$2
    shift 2
    for _ in $(seq $((patience * 5))); do
        if "$@" >/dev/null 2>&1; then return; fi
        sleep 0.2
    done
    fail "waited $patience s for: $what"
}
says() { grep -q -- "$2" "$1" || { cat "$1" >&2; fail "these words are missing: $2"; }; }
refused() {
    local code=0
    "$@" >"$scratch/refused.out" 2>"$scratch/refused.err" || code=$?
    [ "$code" = 2 ] || fail "exit code $code instead of 2: $*"
}
# Numbers of all arrays that the controller knows, of whatever state.
arrays() { squeue -h -t all -o %F | sort -u; }
alive() { squeue -h -r -o %F | sort -u; }
over() { find "$1/runs" -name result.json | wc -l; }
at_least() { [ "$(over "$1")" -ge "$2" ]; }
is_alive() { alive | grep -qx "$1"; }
nobody() { [ -z "$(alive)" ]; }
is_gone() { ! is_alive "$1"; }
in_logs() { grep -q -- "$2" "$1"/slurm/logs/*.log; }
# Processes of a sweep: found by the folder that only they name.
processes() { pgrep -f -- "$1 --sweep $scratch/$2 " || true; }
# Stops the workers of a sweep where they are, so that it cannot end before it is disturbed, and lets them go on.
hold() { kill -STOP $(processes worker "$1"); }
held() { hold trained 2>/dev/null || true; "$@"; }
release() { kill -CONT $(processes worker "$1") 2>/dev/null || true; }
# Slurm keeps a task that is queued again for two minutes. Not here.
start_now() {
    local task
    for task in $(squeue -h -r -t PENDING -o %i); do
        scontrol update JobId="$task" StartTime=now 2>/dev/null || true
    done
}
start_until() { start_now && "$@"; }
# The tasks that have not ended get time enough: what is held and told of no limit in time would be lost at its limit.
long_limit() {
    local task
    for task in $(squeue -h -r -o %i); do
        scontrol update JobId="$task" TimeLimit=30 2>/dev/null || true
    done
}
# The tasks that run, as ARRAY_INDEX NODE; whether a task waits; whether two processes are the same task.
running() { squeue -h -r -t RUNNING -o '%i %N' "$@" | grep .; }
start_task() { scontrol update JobId="$1" StartTime=now 2>/dev/null || true; "${@:2}"; }
is_pending() { [ "$(squeue -h -r -j "$1" -o %T)" = PENDING ]; }
has_two_copies() {
    local pid
    for pid in $(processes slurm-task trained); do
        tr '\0' '\n' <"/proc/$pid/environ" | grep -x "SLURM_ARRAY_TASK_ID=${1#*_}" || true
    done | [ "$(wc -l)" -ge 2 ]
}
# All columns but the last two, which are seconds and tokens per second.
without_clock() { sed 's/,[^,]*,[^,]*$//' "$1"; }

[ -n "${RUNNER:-}" ] || cargo build --release
runner=$(realpath "${RUNNER:-${CARGO_TARGET_DIR:-target}/release/runner}")

step 'a private Slurm comes up'
code=0
slurm up || code=$?
[ "$code" != 3 ] || { echo 'not checked: Slurm'; exit 0; }
[ "$code" = 0 ] || fail 'Slurm does not come up'
. "$scratch/slurm/env.sh"
cd "$scratch"

# spec NAME BUDGETS SEEDS LINES...: a sweep and its [launcher]
spec() {
    sed "s/^name = .*/name = \"$1\"/; s/^budgets = .*/budgets = [$2]/; s/^seeds = .*/seeds = [$3]/" \
        "$root/sweeps/quickstart.toml"
    printf '\n[launcher]\nkind = "slurm"\nworkers = 4\ngres = "gpu:1"\n'
    printf '%s\n' 'setup = ["echo gpu $CUDA_VISIBLE_DEVICES of $SLURMD_NODENAME"]' "${@:4}"
}
spec many '2e10, 4e10, 8e10' "$(seq -s, 1 250)" >many.toml
spec trained '2e10, 4e10, 8e10' 1 >trained.toml
many() { "$runner" sweep many.toml --device rehearsal --out "$scratch/many" "$@"; }
trained() { "$runner" sweep trained.toml --device cpu --out "$scratch/trained" "$@"; }

step 'a dry run prints the script, tells the start, submits nothing and writes no results'
many --dry-run >dry.out 2>dry.err || fail 'the dry run is refused'
says dry.out 'exec .* slurm-task --sweep'
says dry.err 'nothing is submitted; Slurm says: Job [0-9]* to start at'
[ -z "$(arrays)" ] && [ ! -e many ] || fail 'something was submitted or written'

step 'a partition that does not exist is refused in the words of Slurm, and nothing stays submitted'
spec bad 2e10 1 'partition = "gpuu"' >bad.toml
for flag in --dry-run --wait; do
    refused "$runner" sweep bad.toml --device rehearsal --out "$scratch/bad" "$flag"
    says refused.err 'invalid partition'
done
[ -z "$(arrays)" ] || fail 'something was submitted'
refused "$runner" cancel "$scratch/bad"
says refused.err 'no array of jobs was submitted'

step 'while the controller is down a sweep waits with its submission, and submits once'
slurm controller stop
many >first.out 2>first.err &
first=$!
until_true 40 'the word that nobody answers' grep -q 'has no answer' first.err
[ ! -s first.out ] || fail 'submitted without a controller'
slurm controller start
wait "$first" || { cat first.err >&2; fail 'the submission'; }
job=$(cat first.out)
until_true 30 'first results' at_least many 200
hold many
is_alive "$job" || fail "array $job of the sweep is not in the queue"

step 'a second call finds the array and does not submit again; a worker, a task and a node daemon are killed'
many >second.out 2>second.err
[ "$(cat second.out)" = "$job" ] && [ "$(arrays)" = "$job" ] || fail "submitted twice: $(arrays | xargs)"
says second.err "array $job of an earlier call goes on"
disturbed=$(over many)
kill -9 $(processes worker many | head -n 1)
until_true 10 'the word that a worker died' in_logs many 'signal: 9'
kill -9 $(processes slurm-task many | head -n 1)
slurm node n1 kill
release many
many --wait >many.out 2>many.err || fail 'the sweep does not end'
echo "killed at $disturbed of $(over many) runs"
[ "$disturbed" -lt "$(over many)" ] || fail 'it was over before it was disturbed'
slurm node n1 start

step 'its tables are those of a local sweep, byte for byte'
"$runner" sweep many.toml --launcher local --device rehearsal --out "$scratch/many-local" >/dev/null 2>local.err
for table in runs.csv curves.csv fits.json; do
    cmp "many/$table" "many-local/$table" || fail "$table differs"
done
cat many/slurm/logs/*.log | grep -h '^gpu' | sort -u >gpus.txt
[ "$(wc -l <gpus.txt)" = 4 ] || { cat gpus.txt >&2; fail 'four workers did not have four GPUs of two nodes'; }
# The controller may take its time to notice that the killed node's task has nothing left to do.
until_true 300 'the end of the array' nobody
many >third.out 2>third.err
nobody && cmp many.out third.out || fail 'a call after the end does something else than report'

step 'cancelled, an array ends and whoever waits for it is told so and does not submit it again'
until_true 60 'both nodes' sh -c '[ "$(sinfo -h -N -t idle -o %N | wc -l)" = 2 ]'
trained --wait >waiting.out 2>waiting.err &
waiting=$!
until_true 60 'the first trained run' at_least trained 1
hold trained
job=$(alive)
"$runner" cancel "$scratch/trained" 2>cancel.err || fail 'cannot cancel'
says cancel.err "array $job is cancelled"
until_true 30 'the end of the array' is_gone "$job"
code=0
wait "$waiting" || code=$?
[ "$code" = 75 ] || { cat waiting.err >&2; fail "the waiting sweep ended with $code instead of 75"; }
says waiting.err 'the array was cancelled'
[ -z "$(processes worker trained)" ] || fail 'workers are left'
kept=$(over trained)

# Slurm looks at time limits every 30 s, and so sends the signal 10 to 40 s before a limit of a minute. That the
# launcher is another one now makes no difference to the sweep.
spec trained '2e10, 4e10, 8e10' 1 'time = "1"' 'checkpoint_seconds = 10' >trained.toml
step 'called again it trains the rest: stopped before the time limit, queued again, the controller down meanwhile'
trained --wait >trained.out 2>trained.err &
waiting=$!
until_true 60 'another trained run' at_least trained $((kept + 1))
until_true 120 'a task that is told of its time limit' held in_logs trained '^stopped by signal 10,'
release trained
until_true 60 'a task that asks to be queued again' in_logs trained 'queued again as'
until_true 60 'a task that starts once more' held start_until in_logs trained 'queued again 1 times'
long_limit
slurm controller stop
until_true 40 'the word that nobody answers' held grep -q 'unknown, Slurm has no answer' trained.err
kill -0 "$waiting" || fail 'the waiting sweep ended while the controller was down'
slurm controller start
until_true 30 'the controller' sinfo

step 'a node daemon dies under training; its task is queued again and starts while its first copy runs'
# Of either node: which tasks are left after the time limit, and where, is for Slurm to say.
until_true 60 'a task that runs' held start_until running
read -r task node < <(running) || fail 'it has ended'
slurm node "$node" kill
until_true 90 'the loss of the node' held is_pending "$task"
# Room for it on the other node.
other=$(running | grep -v " $node\$" | head -n 1 | cut -d ' ' -f 1) || true
[ -z "$other" ] || scontrol requeue "$other" || true
until_true 60 'a second copy of the task' held start_task "$task" has_two_copies "$task"
release trained
for _ in $(seq 240); do
    kill -0 "$waiting" 2>/dev/null || break
    start_now
    sleep 0.5
done
kill -0 "$waiting" 2>/dev/null && fail 'the trained sweep does not end'
wait "$waiting" || { cat trained.err >&2; fail 'the trained sweep'; }
slurm node "$node" start
echo "$kept runs kept from before the cancellation, $(over trained) in all; $(arrays | wc -l) arrays since the start"

step 'what was trained is what a local sweep trains, but for the seconds it took'
"$runner" sweep trained.toml --launcher local --device cpu --out "$scratch/trained-local" >/dev/null 2>local.err
cmp trained/curves.csv trained-local/curves.csv || fail 'curves.csv differs'
cmp <(without_clock trained/runs.csv) <(without_clock trained-local/runs.csv) || fail 'runs.csv differs'
cmp trained/fits.json trained-local/fits.json || fail 'fits.json differs'
[ -z "$(find trained/runs many/runs -name 'conflict-*')" ] || fail 'a run had two results'

step 'done'
