"""`runner bench` against PyTorch, in pairs on one machine: each repeat measures both, one right after the other, so that
a shared machine's moods cancel in the ratio. Writes one CSV row a pair and prints the medians.

usage: bench-peer.py [--parts swiglu,experts,lstm,muon] [--busy] [--models abc] RUNNER PYTHON OUT.csv [REPEATS] [SECONDS]
RUNNER is the release binary, PYTHON an interpreter with torch and numpy. --parts measures models of these parts (and Muon)
with one slot against one thread. --busy is for a machine on which others compute, and for one slot: rates are per second of
processor time; ours has the start and the end of a training in it, PyTorch's the steps alone.
"""

import argparse
import csv
import pathlib
import resource
import statistics
import sys
import tempfile
import tomllib

from benching import in_turn, output, processor, run, runner

HERE = pathlib.Path(__file__).resolve().parent
MEASURED = ["runner", "torch", "ratio", "share_of_peak", "share_of_products", "share_of_optimizer", "runner_mb", "torch_mb"]
RATES = MEASURED[:3]

# How many slots of ours against one run of PyTorch on as many threads, and which part.
MODELS = {"1 slot, 1 thread": (1, None), "2 slots, 2 threads": (2, None)}

# Steps of a training whose processor time is told, and what it leaves out.
STEPS = 52
SHORT = ["schedule.tokens_per_param=", "eval.tokens=1024", "eval.curve_points=2"]

# What a part changes in a config: a text and what is written instead.
CHANGES = {
    "swiglu": ("[model]\n", '[model]\nmlp = "swiglu"\n'),
    "experts": ("[model]\n", "[model]\nexperts = { count = 8, active = 2, balance = 0.01 }\n"),
    "lstm": ("[model]\n", '[model]\nmixer = "lstm"\n'),
    "muon": ('kind = "adamw"\n', 'kind = "muon"\nmomentum = 0.95\n'),
}


def torch(python, model, threads, seconds, part, *flags):
    return run([python, HERE / "bench-torch.py", model, threads, seconds, *(["--part", part] if part else []), *flags])


def processor_time(command):
    """Seconds of processor time that a command takes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    output(command)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def trained(binary, config, scratch):
    """Tokens of training per second of processor time on one thread."""
    with open(config, "rb") as file:
        batch = tomllib.load(file)["optimizer"]["batch_tokens"]
    keys = [*SHORT, f"schedule.tokens={STEPS * batch}"]
    sets = [word for key in keys for word in ("--set", key)]
    with tempfile.TemporaryDirectory(dir=scratch) as out:
        train = [binary, "train", config, "--device", "cpu", "--threads", 1, "--out", f"{out}/run", *sets]
        return {"tokens_per_second": STEPS * batch / processor_time(train)}


def config_of(model, part, scratch):
    """The config of a model, with a part of another kind if one is named."""
    text = (HERE.parent / "configs" / f"bench-{model}.toml").read_text()
    if part:
        assert CHANGES[part][0] in text, f"bench-{model}.toml has no line {CHANGES[part][0]!r}"
        text = text.replace(*CHANGES[part])
    path = pathlib.Path(scratch) / f"bench-{model}-{part}.toml"
    path.write_text(text)
    return path


def pair(sides, repeat):
    """Both sides, taking turns at being first."""
    ours, theirs = in_turn(sides, repeat)
    rates = {
        "runner": round(ours["tokens_per_second"]),
        "torch": round(theirs["tokens_per_second"]),
        "ratio": round(ours["tokens_per_second"] / theirs["tokens_per_second"], 4),
    }
    return rates | shares(ours, theirs) if "slots" in ours else rates


def shares(ours, theirs):
    """Where the time and the memory of a measurement go."""
    slots = ours["slots"]
    optimizer = [slot["phases"]["optimizer"] / sum(slot["phases"].values()) for slot in slots]
    return {
        "share_of_peak": round(ours["share_of_peak"], 4),
        "share_of_products": round(statistics.mean(slot["share_of_products"] for slot in slots), 4),
        "share_of_optimizer": round(statistics.mean(optimizer), 4),
        "runner_mb": ours["peak_memory"] >> 20,
        "torch_mb": theirs["peak_memory"] >> 20,
    }


def sides(chosen, model, case, scratch):
    """What measures ours and what measures PyTorch."""
    number, part = case
    config = config_of(model, part, scratch)
    if chosen.busy:
        ours = lambda: trained(chosen.runner, config, scratch)
    else:
        ours = lambda: runner(chosen.runner, config, number, chosen.seconds)
    flags = ["--busy"] if chosen.busy else []
    return [ours, lambda: torch(chosen.python, model, number, chosen.seconds, part, *flags)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", type=lambda names: names.split(","))
    parser.add_argument("--busy", action="store_true")
    parser.add_argument("--models", default="abc", help="which of configs/bench-*.toml")
    parser.add_argument("runner")
    parser.add_argument("python")
    parser.add_argument("out")
    parser.add_argument("repeats", type=int, nargs="?", default=5)
    parser.add_argument("seconds", type=float, nargs="?", default=6.0)
    chosen = parser.parse_args()
    models, repeats = chosen.models, chosen.repeats
    cases = {name: (1, name) for name in chosen.parts} if chosen.parts else MODELS
    unknown = [name for name in chosen.parts or [] if name not in CHANGES]
    if unknown:
        parser.error(f"--parts {','.join(unknown)}: choose among {','.join(CHANGES)}")
    if chosen.busy and not chosen.parts:
        parser.error("--busy: write which --parts")
    measured = RATES if chosen.busy else MEASURED
    fields = ["model", "case", "repeat", *measured, "processor"]
    rows = []
    with open(chosen.out, "w", newline="") as file, tempfile.TemporaryDirectory() as scratch:
        writer = csv.DictWriter(file, fields, lineterminator="\n")
        writer.writeheader()
        for repeat in range(repeats):
            for model in models:
                for case in cases:
                    row = {"model": model, "case": case, "repeat": repeat, "processor": processor()}
                    rows.append(row | pair(sides(chosen, model, cases[case], scratch), repeat))
                    writer.writerow(rows[-1])
                    file.flush()
                    print(rows[-1], file=sys.stderr)
    for model in models:
        for case in cases:
            those = [row for row in rows if row["model"] == model and row["case"] == case]
            median = {field: statistics.median(row[field] for row in those) for field in measured}
            print(f"{model}  {case:20s}", "  ".join(f"{field} {value:g}" for field, value in median.items()))


main()
