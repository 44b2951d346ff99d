#!/usr/bin/env python3
"""Does tuning each point move the optimum? Pairs the run that the rules of the spec give each point with the best that
tuning found there, and draws the residuals of each budget's parabolas again, both of a point together (paired bootstrap, 95%).

Usage: scripts/tuned-pairs.py [TABLE...]       [default: results/why-15-tuning/runs.csv results/tuned-1e13/runs.csv]
       scripts/tuned-pairs.py --write          also writes results/tuned-pairs.csv
       scripts/tuned-pairs.py --check          exits 1 where that table is not the one of the runs
"""

import csv
import math
import random
import sys
from collections import defaultdict
from pathlib import Path

DRAWS = 4000
RESULTS = Path(__file__).resolve().parent.parent / "results"
TABLES = [RESULTS / name / "runs.csv" for name in ["why-15-tuning", "tuned-1e13"]]
KEPT = RESULTS / "tuned-pairs.csv"
# How the axes write what the spec begins with.
RULES = {"optimizer.learning_rate": "value = 0.0075 ", "optimizer.batch_tokens": "value = 465.0 ", "optimizer.weight_decay": "0.1"}


def points(paths):
    """Of each budget: ln parameters, ln tokens, loss by the rules and best loss of each point."""
    runs = defaultdict(list)
    for path in paths:
        with open(path, newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                if row["status"] == "finished":
                    runs[float(row["flop_budget"]), float(row["params"])].append(row)
    budgets = defaultdict(list)
    for (budget, params), rows in sorted(runs.items()):
        plain = [row for row in rows if all(value in row["axis." + key] for key, value in RULES.items())]
        if len(plain) != 1:
            sys.exit(f"{len(plain)} runs by the rules at {budget:g} FLOPs and {params:g} parameters, not one")
        best = min(rows, key=lambda row: float(row["val_loss"]))
        budgets[budget].append([math.log(params), math.log(float(plain[0]["tokens"])), float(plain[0]["val_loss"]), float(best["val_loss"])])
    return budgets


def parabola(xs, ys):
    """Coefficients of the parabola through the points by least squares, about the mean of the places."""
    middle = sum(xs) / len(xs)
    rows = [[1.0, x - middle, (x - middle) ** 2] for x in xs]
    left = [[sum(r[i] * r[j] for r in rows) for j in range(3)] + [sum(r[i] * y for r, y in zip(rows, ys))] for i in range(3)]
    for i in range(3):
        for j in range(i + 1, 3):
            by = left[j][i] / left[i][i]
            left[j] = [b - by * a for a, b in zip(left[i], left[j])]
    c = left[2][3] / left[2][2]
    b = (left[1][3] - left[1][2] * c) / left[1][1]
    a = (left[0][3] - left[0][1] * b - left[0][2] * c) / left[0][0]
    return middle, a, b, c


def bottom(xs, ys):
    """Where the parabola has its minimum; nothing where it has none inside of the points."""
    middle, _, b, c = parabola(xs, ys)
    at = middle - b / (2 * c) if c > 0 else math.inf
    return at if min(xs) <= at <= max(xs) else None


def slope(xs, ys):
    x, y = sum(xs) / len(xs), sum(ys) / len(ys)
    return sum((a - x) * (b - y) for a, b in zip(xs, ys)) / sum((a - x) ** 2 for a in xs)


def answers(budgets):
    """ln of tuned over plain: optimal sizes, then optimal tokens per parameter, budget by budget; then the exponents of N_opt and
    of D_opt, each plain, tuned, and their difference."""
    # Of each budget the optimal ln size and ln tokens, plain and tuned.
    optima = [[[bottom([p[at] for p in of], [p[k] for p in of]) for k in (2, 3)] for at in (0, 1)] for of in budgets.values()]
    if any(at is None for kinds in optima for pair in kinds for at in pair):
        return None
    compute = [math.log(budget) for budget in budgets]
    moved = [[tuned - plain for plain, tuned in kinds] for kinds in optima]
    found = [size for size, _ in moved] + [tokens - size for size, tokens in moved]
    for at in (0, 1):
        plain, tuned = [slope(compute, [kinds[at][k] for kinds in optima]) for k in (0, 1)]
        found += [plain, tuned, tuned - plain]
    return found


def residuals(of):
    """What the points of a budget are off their parabolas, plain and tuned together, and the points on these. The residuals of a
    fit are smaller than the scatter, by the numbers that were fitted."""
    fitted = []
    for k in (2, 3):
        middle, a, b, c = parabola([p[0] for p in of], [p[k] for p in of])
        fitted.append([a + b * (p[0] - middle) + c * (p[0] - middle) ** 2 for p in of])
    wider = math.sqrt(len(of) / (len(of) - 3))
    off = [[(p[k] - line[at]) * wider for k, line in zip((2, 3), fitted)] for at, p in enumerate(of)]
    return [[p[0], p[1], plain, tuned] for p, plain, tuned in zip(of, *fitted)], off


def drawn(of, rng):
    """The points of a budget with residuals of others, those of one point together."""
    on, off = of
    return [[p[0], p[1], p[2] + a, p[3] + b] for p, (a, b) in zip(on, rng.choices(off, k=len(off)))]


def found_in(budgets):
    """Rows of what, kind, budget, value, low and high."""
    found = answers(budgets)
    if found is None:
        sys.exit("a budget has no minimum inside its sizes")
    rng = random.Random(1)
    split = {budget: residuals(of) for budget, of in budgets.items()}
    draws = [answers({budget: drawn(of, rng) for budget, of in split.items()}) for _ in range(DRAWS)]
    draws = [draw for draw in draws if draw]
    print(f"{len(draws)} of {DRAWS} draws have a minimum at each budget")
    names = [(what, "tuned_over_rules", f"{budget:g}") for what in ("params", "tokens_per_param") for budget in budgets]
    names += [(what, kind, "") for what in ("n_opt_exponent", "d_opt_exponent") for kind in ("rules", "tuned", "tuned_less_rules")]
    rows = []
    for k, name in enumerate(names):
        values = sorted(draw[k] for draw in draws)
        shown = [found[k], values[int(0.025 * len(values))], values[int(0.975 * len(values))]]
        if k < 2 * len(budgets):
            shown = [math.exp(x) for x in shown]
        rows.append([*name, *(f"{x:.6f}" for x in shown)])
    return rows


def main():
    asked = sys.argv[1:]
    keep = asked in (["--write"], ["--check"])
    budgets = points(TABLES if keep or not asked else asked)
    gains = [p[2] - p[3] for of in budgets.values() for p in of]
    gain, most = f"{sum(gains) / len(gains):.6f}", f"{max(gains):.6f}"
    print(f"{len(gains)} points; tuning gains {gain} nats on average, {most} at most")
    rows = found_in(budgets)
    for what, kind, budget, value, low, high in rows:
        value, low, high = (f"{float(x):.3f}" for x in (value, low, high))
        print(f"{what} {kind}{budget and f' at {budget} FLOPs'}: {value} ({low} to {high})")
    if keep:
        rows += [["gain_nats", "mean", "", gain, "", ""], ["gain_nats", "most", "", most, "", ""]]
        text = "".join(",".join(row) + "\n" for row in [["what", "kind", "budget", "value", "low", "high"], *rows])
        if asked == ["--write"]:
            KEPT.write_text(text, encoding="utf-8")
        elif not KEPT.exists() or KEPT.read_text(encoding="utf-8") != text:
            sys.exit(f"{KEPT} is not that of the runs: run scripts/tuned-pairs.py --write")


main()
