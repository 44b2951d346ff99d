"""`runner bench` against PyTorch, in pairs on one machine: each repeat measures both, one right after the other, so that
a shared machine's moods cancel in the ratio. Writes one CSV row a pair and prints the medians.

usage: bench-peer.py [--parts] [--models abc] RUNNER PYTHON OUT.csv [REPEATS] [SECONDS]
RUNNER is the release binary, PYTHON an interpreter with torch and numpy. --parts measures models of other parts, and Muon,
with one slot against one thread.
"""

import argparse
import csv
import json
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
MEASURED = ["runner", "torch", "ratio", "share_of_peak", "share_of_products", "share_of_optimizer", "runner_mb", "torch_mb"]
FIELDS = ["model", "case", "repeat", *MEASURED, "processor"]

# How many slots of ours against one run of PyTorch on as many threads, and which part.
MODELS = {"1 slot, 1 thread": (1, None), "2 slots, 2 threads": (2, None)}
PARTS = {name: (1, name) for name in ("swiglu", "experts", "lstm", "muon")}

# What a part changes in a config: a text and what is written instead.
CHANGES = {
    "swiglu": ("[model]\n", '[model]\nmlp = "swiglu"\n'),
    "experts": ("[model]\n", "[model]\nexperts = { count = 8, active = 2, balance = 0.01 }\n"),
    "lstm": ("[model]\n", '[model]\nmixer = "lstm"\n'),
    "muon": ('kind = "adamw"\n', 'kind = "muon"\nmomentum = 0.95\n'),
}


def run(command):
    output = subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True)
    return json.loads(output.stdout)


def runner(binary, config, slots, seconds):
    return run([binary, "bench", "--config", config, "--device", "cpu", "--slots", slots, "--seconds", seconds, "--json"])


def torch(python, model, threads, seconds, part):
    return run([python, HERE / "bench-torch.py", model, threads, seconds, *(["--part", part] if part else [])])


def config_of(model, part, scratch):
    """The config of a model, with a part of another kind if one is named."""
    text = (HERE.parent / "configs" / f"bench-{model}.toml").read_text()
    if part:
        assert CHANGES[part][0] in text, f"bench-{model}.toml has no line {CHANGES[part][0]!r}"
        text = text.replace(*CHANGES[part])
    path = pathlib.Path(scratch) / f"bench-{model}-{part}.toml"
    path.write_text(text)
    return path


def pair(binary, python, config, model, case, repeat, seconds):
    """Both sides, taking turns at being first."""
    number, part = (MODELS | PARTS)[case]
    sides = [lambda: runner(binary, config, number, seconds), lambda: torch(python, model, number, seconds, part)]
    results = [None, None]
    for side in (0, 1) if repeat % 2 == 0 else (1, 0):
        results[side] = sides[side]()
    ours, theirs = results
    slots = ours["slots"]
    optimizer = [slot["phases"]["optimizer"] / sum(slot["phases"].values()) for slot in slots]
    return {
        "model": model,
        "case": case,
        "repeat": repeat,
        "runner": round(ours["tokens_per_second"]),
        "torch": round(theirs["tokens_per_second"]),
        "ratio": round(ours["tokens_per_second"] / theirs["tokens_per_second"], 4),
        "share_of_peak": round(ours["share_of_peak"], 4),
        "share_of_products": round(statistics.mean(slot["share_of_products"] for slot in slots), 4),
        "share_of_optimizer": round(statistics.mean(optimizer), 4),
        "runner_mb": ours["peak_memory"] >> 20,
        "torch_mb": theirs["peak_memory"] >> 20,
        "processor": processor(),
    }


def processor():
    """As Linux calls it, or else as Python does."""
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", action="store_const", const=PARTS, default=MODELS, dest="cases")
    parser.add_argument("--models", default="abc", help="which of configs/bench-*.toml")
    parser.add_argument("runner")
    parser.add_argument("python")
    parser.add_argument("out")
    parser.add_argument("repeats", type=int, nargs="?", default=5)
    parser.add_argument("seconds", type=float, nargs="?", default=6.0)
    chosen = parser.parse_args()
    cases, models, repeats, seconds = chosen.cases, chosen.models, chosen.repeats, chosen.seconds
    rows = []
    with open(chosen.out, "w", newline="") as file, tempfile.TemporaryDirectory() as scratch:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        writer.writeheader()
        for repeat in range(repeats):
            for model in models:
                for case, (_, part) in cases.items():
                    config = config_of(model, part, scratch)
                    rows.append(pair(chosen.runner, chosen.python, config, model, case, repeat, seconds))
                    writer.writerow(rows[-1])
                    file.flush()
                    print(rows[-1], file=sys.stderr)
    for model in models:
        for case in cases:
            those = [row for row in rows if row["model"] == model and row["case"] == case]
            median = {field: statistics.median(row[field] for row in those) for field in MEASURED}
            print(f"{model}  {case:20s}", "  ".join(f"{field} {value:g}" for field, value in median.items()))


main()
