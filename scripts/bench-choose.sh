#!/usr/bin/env bash
# Plays the benchmark of "Spend Less, Fit Better" (arXiv 2604.22753) with `runner choose`: four of its tasks, 31 laws.
#   scripts/bench-choose.sh DATA [RUNNER] [REPEATS] [OUT] [TASK]
# DATA holds TASK_train.csv and TASK_test.csv; the forms and ranges of the laws are in bench-choose.csv.
set -euo pipefail
data=$1
runner=${2:-target/release/runner}
repeats=${3:-10}
out=${4:-results/bench/choose.csv}
task=${5:-}
here=$(dirname "$0")
exec python3 "$here/bench-choose.py" "$here/bench-choose.csv" "$data" "$runner" "$repeats" "$out" $task
