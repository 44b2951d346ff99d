#!/bin/sh
# Makes the committed numbers of results/ again, but for two kinds (below). Interrupt it whenever you like: the same command goes on where it was.
#
#   usage: scripts/reproduce.sh --check [NAME...]    derives tables and fits again from the committed tables of runs, and compares bytes;
#                                                    without a NAME also what several folders give together, results/merged and
#                                                    results/{tuned-pairs,tuned-tau,causes}.csv, docs/causes.svg and docs/laws.svg,
#                                                    and the README's picture of a terminal
#          scripts/reproduce.sh --update [NAME...]   the same, and puts what has changed into results/, but reports
#          scripts/reproduce.sh --plan [NAME...]     tells what training all of it costs, and trains nothing
#          scripts/reproduce.sh [NAME...]            trains every run again, into reproduced/NAME, and compares the losses
#
# NAME is a folder of results/; all of those with a table of runs unless named. RUNNER is the program (default: runner),
# RUNNER_FLAGS go to `runner sweep` (default: --device cpu), FLOPS_PER_SECOND is the speed of one slot by which hours are told
# (default: measured), TOLERANCE the nats by which losses may differ (default: 0.02, the scatter of seeds; 0 on the same type of
# processor). Reports are not compared: each holds the whole page that draws it.
#
# What is neither trained nor derived here: results/bench, which are measurements of speed (results/bench/README.md has the command of
# each table), and results/coord-check and coord-check-depth, which are no sweeps: `runner coord-check results/coord-check/spec.toml`
# measures them again, and `cargo test` judges the committed activations again.
set -eu
cd "$(dirname "$0")/.."
runner=${RUNNER:-runner}
mode=train
case ${1:-} in
--check | --update | --plan)
    mode=${1#--}
    shift
    ;;
esac
whole=$([ $# -gt 0 ] || echo yes)
[ $# -gt 0 ] || set -- $(cd results && ls -d */runs.csv | sed 's|/runs.csv||')
for name; do
    [ -f "results/$name/runs.csv" ] || { echo "there is no results/$name/runs.csv" >&2; exit 2; }
done

# What training costs is told first.
if [ "$mode" = plan ] || [ "$mode" = train ]; then
    for name; do
        echo "== $name"
        "$runner" plan "results/$name/spec.toml" ${FLOPS_PER_SECOND:+--flops-per-second "$FLOPS_PER_SECOND"} | tail -n 4
    done
fi
[ "$mode" != plan ] || exit 0

code=0
if [ "$mode" = train ]; then
    for name; do
        # shellcheck disable=SC2086
        "$runner" sweep "results/$name/spec.toml" --out "reproduced/$name" ${RUNNER_FLAGS:---device cpu}
        python3 scripts/compare-losses.py "results/$name" "reproduced/$name" "${TOLERANCE:-0.02}" || code=1
    done
    exit $code
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
for name; do
    cp -r "results/$name" "$scratch/$name"
    "$runner" ledger rebuild "$scratch/$name" > "$scratch/log" 2>&1 || { cat "$scratch/log"; exit 1; }
    rm "$scratch/$name/report.html"
    changed=$(diff -rq -x report.html "results/$name" "$scratch/$name") || true
    [ -n "$changed" ] || { echo "$name: the same"; continue; }
    echo "$changed"
    code=1
    [ "$mode" = check ] || cp -r "$scratch/$name/." "results/$name/"
done
if [ -n "$whole" ]; then
    # What several folders give together: first the fits of merges, which are no folders of results themselves.
    mkdir "$scratch/merged"
    {
        "$runner" merge "$scratch/frontier" results/isoflop results/isoflop-up
        "$runner" merge "$scratch/tuned" results/why-15-tuning results/tuned-1e13
    } > "$scratch/log" 2>&1 || { cat "$scratch/log"; exit 1; }
    cp "$scratch/frontier/fits.json" "$scratch/merged/frontier.json"
    cp "$scratch/tuned/fits.json" "$scratch/merged/tuned.json"
    best="--tuned axis.optimizer.weight_decay"
    # In the order of the table of docs/reproduction.md.
    # shellcheck disable=SC2086
    {
        "$runner" fit "$scratch/tuned/runs.csv" --law tuning --json $best
        "$runner" fit results/why-15-tuning/runs.csv --law tuning --json $best
        "$runner" fit "$scratch/tuned/runs.csv" --law tuning --json
    } > "$scratch/merged/tuning.jsonl" 2> "$scratch/log" || { cat "$scratch/log"; exit 1; }
    changed=$(diff -rq results/merged "$scratch/merged" 2>&1) || true
    if [ -n "$changed" ]; then
        echo "$changed"
        code=1
        [ "$mode" = check ] || { mkdir -p results/merged && cp "$scratch"/merged/* results/merged/; }
    else
        echo "merged: the same"
    fi
    # Then the tables and figures of scripts.
    write=$([ "$mode" = check ] || echo --write)
    python3 scripts/tuned-pairs.py ${write:---check} > /dev/null || code=1
    python3 scripts/tuned-tau.py ${write:---check} > /dev/null || code=1
    for script in causes verdicts; do
        if [ "$mode" = check ]; then python3 "scripts/$script.py" --check || code=1; else python3 "scripts/$script.py"; fi
    done
    # The README's picture of a fit.
    LINES=9 LAST=7 python3 scripts/terminal-picture.py "$scratch/terminal.svg" runner fit results/isoflop/runs.csv --approach 2
    cmp "$scratch/terminal.svg" docs/terminal.svg || code=1
    [ "$mode" = check ] || cp "$scratch/terminal.svg" docs/terminal.svg
fi
[ "$mode" = check ] || exit 0
[ $code = 0 ] || echo "tables differ from what this program derives: scripts/reproduce.sh --update writes them"
exit $code
