#!/usr/bin/env python3
"""How the timescale of AdamW that is best moves with tokens: tau = tokens of a step / (peak learning rate x weight decay), in tokens,
which is `optimizer.weight_decay_tokens` in docs/spec.md. Weight decay was tuned as a coefficient; this reads tau off the best run of
each point that was tuned. Power laws are least squares of logarithms, with 95% of resamples of points.

Usage: scripts/tuned-tau.py            prints the laws
       scripts/tuned-tau.py --write    also writes results/tuned-tau.csv
       scripts/tuned-tau.py --check    exits 1 where that table is not the one of the runs
"""

import csv
import math
import random
import sys
from pathlib import Path

RESULTS = Path(__file__).resolve().parent.parent / "results"
KEPT = RESULTS / "tuned-tau.csv"
FOLDERS = ["why-15-tuning", "tuned-1e13"]
DRAWS = 4000


def best_runs():
    """Of each point, a budget and a number of parameters, the run with the least loss: ln of what the laws are about."""
    best = {}
    for folder in FOLDERS:
        with open(RESULTS / folder / "runs.csv", newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                point = float(row["flop_budget"]), float(row["params"])
                # The id settles ties, so that the order of rows does not.
                if row["status"] == "finished" and (point not in best or found(row) < found(best[point])):
                    best[point] = row
    points = []
    for _, row in sorted(best.items()):
        batch, rate, decay, tokens = (float(row[name]) for name in ("batch_tokens", "learning_rate", "axis.optimizer.weight_decay", "tokens"))
        tau = batch / (rate * decay)
        size = float(row["params_blocks_and_unembedding"])
        points.append({name: math.log(x) for name, x in {"tau": tau, "decay": decay, "tokens": tokens, "share": tau / tokens, "ratio": tokens / size}.items()})
    return points


def found(row):
    return float(row["val_loss"]), row["id"]


def law(points, of, over):
    """The exponent, and the value at the mean of ln `over`."""
    x, y = sum(p[over] for p in points) / len(points), sum(p[of] for p in points) / len(points)
    spread = sum((p[over] - x) ** 2 for p in points)
    return (sum((p[over] - x) * (p[of] - y) for p in points) / spread if spread else None), y


def main():
    points = best_runs()
    resampled = random.Random(1)
    draws = [resampled.choices(points, k=len(points)) for _ in range(DRAWS)]
    middle = math.exp(sum(p["tokens"] for p in points) / len(points))
    rows = [["what", "over", "value", "low", "high"], ["points", "", str(len(points)), "", ""]]

    def add(what, over, value, values, digits):
        values = sorted(values)
        ends = values[int(0.025 * len(values))], values[int(0.975 * len(values))]
        rows.append([what, over, *(digits.format(x) for x in (value, *ends))])

    for of, over in [("tau", "tokens"), ("decay", "tokens"), ("share", "ratio")]:
        add(f"exponent of {of}", over, law(points, of, over)[0], [law(draw, of, over)[0] for draw in draws], "{:.3f}")
    rows.append(["mean tokens", "", f"{middle:.3g}", "", ""])
    add("mean tau", "", math.exp(law(points, "tau", "tokens")[1]), [math.exp(law(draw, "tau", "tokens")[1]) for draw in draws], "{:.3g}")
    shares = [p["share"] for p in points]
    for name, share in (("least", min(shares)), ("mean", sum(shares) / len(shares)), ("most", max(shares))):
        rows.append([f"{name} tau as a share of the tokens", "", f"{math.exp(share):.3f}", "", ""])
    text = "".join(",".join(row) + "\n" for row in rows)
    print(text, end="")
    if sys.argv[1:] == ["--write"]:
        KEPT.write_text(text, encoding="utf-8")
    elif sys.argv[1:] == ["--check"] and (not KEPT.exists() or KEPT.read_text(encoding="utf-8") != text):
        sys.exit(f"{KEPT} is not that of the runs: run scripts/tuned-tau.py --write")


main()
