"""`runner bench` against PyTorch, in pairs on one machine: each repeat measures both, one right after the other, so that
a shared machine's moods cancel in the ratio. Writes one CSV row a pair and prints the medians.

usage: bench-peer.py RUNNER PYTHON OUT.csv [REPEATS] [SECONDS]
RUNNER is the release binary, PYTHON an interpreter with torch and numpy.
"""

import csv
import json
import pathlib
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
FIELDS = ["model", "case", "repeat", "runner", "torch", "ratio", "share_of_peak", "share_of_products", "runner_mb", "torch_mb"]


def runner(binary, model, slots, seconds):
    config = HERE.parent / "configs" / f"bench-{model}.toml"
    command = [binary, "bench", "--config", config, "--device", "cpu", "--slots", slots, "--seconds", seconds, "--json"]
    output = subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True)
    return json.loads(output.stdout)


def torch(python, model, threads, seconds):
    command = [python, HERE / "bench-torch.py", model, threads, seconds]
    output = subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True)
    return json.loads(output.stdout)


def pair(binary, python, model, case, repeat, seconds):
    """One slot against one thread, or two slots together against one run on two threads."""
    number = {"1 slot, 1 thread": 1, "2 slots, 2 threads": 2}[case]
    sides = [lambda: runner(binary, model, number, seconds), lambda: torch(python, model, number, seconds)]
    # Taking turns at being first.
    results = [None, None]
    for side in (0, 1) if repeat % 2 == 0 else (1, 0):
        results[side] = sides[side]()
    ours, theirs = results
    slots = ours["slots"]
    return {
        "model": model,
        "case": case,
        "repeat": repeat,
        "runner": round(ours["tokens_per_second"]),
        "torch": round(theirs["tokens_per_second"]),
        "ratio": round(ours["tokens_per_second"] / theirs["tokens_per_second"], 4),
        "share_of_peak": round(ours["share_of_peak"], 4),
        "share_of_products": round(sum(slot["share_of_products"] for slot in slots) / len(slots), 4),
        "runner_mb": ours["peak_memory"] >> 20,
        "torch_mb": theirs["peak_memory"] >> 20,
    }


def main():
    binary, python, out = sys.argv[1:4]
    repeats = int(sys.argv[4]) if len(sys.argv) > 4 else 5
    seconds = float(sys.argv[5]) if len(sys.argv) > 5 else 6.0
    rows = []
    with open(out, "w", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        writer.writeheader()
        for repeat in range(repeats):
            for model in "abc":
                for case in ("1 slot, 1 thread", "2 slots, 2 threads"):
                    rows.append(pair(binary, python, model, case, repeat, seconds))
                    writer.writerow(rows[-1])
                    file.flush()
                    print(rows[-1], file=sys.stderr)
    for model in "abc":
        for case in ("1 slot, 1 thread", "2 slots, 2 threads"):
            chosen = [row for row in rows if row["model"] == model and row["case"] == case]
            median = {field: statistics.median(row[field] for row in chosen) for field in FIELDS[3:]}
            print(f"{model}  {case:20s}", "  ".join(f"{field} {value:g}" for field, value in median.items()))


main()
