#!/usr/bin/env python3
"""From 15 to 20: by which factor each cause alone changes tokens per parameter, as a table and as a figure (SVG).

Usage: scripts/causes.py            writes results/causes.csv and docs/causes.svg
       scripts/causes.py --check    exits 1 where they are not those of the committed runs and fits

Approach 2 as in docs/methods.md: a parabola to the losses of a budget over ln parameters, one over ln tokens, and a line through the
minima of budgets. Intervals are 95% of resamples of each curve's residuals, corrected for leverage and widened by Student's t. Seeds of one
size are drawn together, as they share what the curve misses there. Where both
sides of a factor are of the same runs, they are resampled together. Factors of tuning are those of scripts/tuned-pairs.py. A form of fit has
the interval of its own number, divided by that of approach 2. Nothing outside the standard library is needed.
"""

import csv
import io
import json
import math
import random
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TABLE, FIGURE = ROOT / "results/causes.csv", ROOT / "docs/causes.svg"
DRAWS = 2000
# A minimum that is missing in more of the resamples has no interval (docs/methods.md).
MISSING = 0.025
ALL = "params"
COUNTINGS = {"blocks and unembedding": "params_blocks_and_unembedding", "blocks": "params_non_embedding"}
# What differs from sweeps/isoflop.toml, one at a time: the cause, what it is there instead, and the folder.
SWEEPS = [
    ("text", "Debian's documentation", "isoflop-docs"),
    ("text", "C source", "isoflop-c"),
    ("vocabulary", "512 entries, not 1024", "why-15-vocabulary"),
    ("context", "256 tokens, not 128", "why-15-context"),
    ("schedule", "constant, then a cooldown", "why-15-schedule"),
    ("embedding", "begins at 1, not at 0.02", "why-15-embedding"),
    ("parameterization", "CompleteP, one rate", "completep"),
]
SINGLE = [1e12, 2.4e12, 5.6e12]
FORMS = {"3": "approach 3", "vpnls": "VPNLS"}


def student(freedom):
    """The 97.5% quantile of Student's t by bisection; its density is integrated by Simpson's rule."""
    scale = math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)) / math.sqrt(freedom * math.pi)

    def above_zero(end, parts=400):
        at = [scale * (1 + (end * k / parts) ** 2 / freedom) ** (-(freedom + 1) / 2) for k in range(parts + 1)]
        return end / parts / 3 * (at[0] + at[-1] + 4 * sum(at[1:-1:2]) + 2 * sum(at[2:-1:2]))

    low, high = 1.0, 64.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if above_zero(middle) < 0.475 else (low, middle)
    return low


class Parabola:
    """Least squares of losses over places, by polynomials that are orthogonal on these places."""

    def __init__(self, places, losses, sizes):
        count = len(places)
        self.ends = min(places), max(places)
        self.middle = sum(places) / count
        first = [x - self.middle for x in places]
        of_first = sum(x * x for x in first)
        self.lean = sum(x**3 for x in first) / of_first
        second = [x * x - self.lean * x - of_first / count for x in first]
        of_second = sum(x * x for x in second)
        self.slope, self.bend = [x / of_first for x in first], [x / of_second for x in second]
        mean, slope, bend = sum(losses) / count, dot(self.slope, losses), dot(self.bend, losses)
        self.losses, self.line = losses, [mean + slope * a + bend * b for a, b in zip(first, second)]
        leverage = [1 / count + a * a / of_first + b * b / of_second for a, b in zip(first, second)]
        of_size = {row: sum(leverage[other] for other in rows) for rows in sizes for row in rows}
        off = [(y - on) / math.sqrt(1 - of_size[row]) for row, (y, on) in enumerate(zip(losses, self.line))]
        wider = student(len(sizes) - 3) / 1.959964
        self.off = [(each - sum(off) / count) * wider for each in off]

    def bottom(self, picks=None):
        """Where the minimum is, of the losses or of a resample of residuals; nothing where it is not between the ends."""
        losses = self.losses if picks is None else [on + self.off[k] for on, k in zip(self.line, picks)]
        bend = dot(self.bend, losses)
        if bend <= 0:
            return None
        at = self.middle - (dot(self.slope, losses) - self.lean * bend) / (2 * bend)
        return at if self.ends[0] <= at <= self.ends[1] else None


def dot(a, b):
    return sum(x * y for x, y in zip(a, b))


class Curve:
    """The runs of one budget. Parabolas over each way of counting and over tokens are resampled together."""

    def __init__(self, rows):
        losses = [float(row["val_loss"]) for row in rows]
        sizes = {}
        for at, row in enumerate(rows):
            sizes.setdefault(row[ALL], []).append(at)
        self.sizes = [sizes[size] for size in sorted(sizes, key=float)]
        names = [ALL, *COUNTINGS.values(), "tokens"]
        self.over = {name: Parabola([math.log(float(row[name])) for row in rows], losses, self.sizes) for name in names}

    def pick(self, rng):
        """For each run the one whose residual it gets: those of a size get those of one other size."""
        picks = {}
        for own, drawn in zip(self.sizes, rng.choices(self.sizes, k=len(self.sizes))):
            picks |= {row: drawn[at % len(drawn)] for at, row in enumerate(own)}
        return [picks[row] for row in range(len(picks))]

    def ratio(self, rng=None):
        """ln tokens per parameter at the minimum by each way of counting, of a resample if there is an `rng`."""
        picks = rng and self.pick(rng)
        at = {name: parabola.bottom(picks) for name, parabola in self.over.items()}
        return {name: None if None in (at["tokens"], x) else at["tokens"] - x for name, x in at.items()}


def curves(folder, seed=None):
    """Of each budget of a folder its curve, of one seed alone if one is named."""
    rows = {}
    with open(ROOT / "results" / folder / "runs.csv", newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["status"] == "finished" and seed in (None, row["seed"]):
                rows.setdefault(float(row["flop_budget"]), []).append(row)
    # The order of rows must not matter.
    return {budget: Curve(sorted(of, key=lambda row: row["id"])) for budget, of in sorted(rows.items())}


def on_line(points, budget):
    """The value at a budget of the line through points, least squares in ln budget."""
    x = [math.log(at) for at in points]
    mean, middle = sum(points.values()) / len(x), sum(x) / len(x)
    slope = sum((a - middle) * (y - mean) for a, y in zip(x, points.values())) / sum((a - middle) ** 2 for a in x)
    return mean + slope * (math.log(budget) - middle)


def step(cause, instead, budget, of, known=None):
    """A row of the table. `of` gives ln of the factor, of a resample if there is an `rng`, or nothing."""
    rng = random.Random(1)
    draws = sorted(draw for draw in (of(rng) for _ in range(DRAWS)) if draw is not None)
    value = of(None)
    row = {"cause": cause, "instead": instead, "budget": f"{budget:g}", "factor": "", "low": "", "high": "", "status": "not_identified"}
    if value is not None and len(draws) >= (1 - MISSING) * DRAWS:
        ends = draws[int(0.025 * len(draws))], draws[int(0.975 * len(draws))]
        row |= dict(zip(("factor", "low", "high"), (f"{math.exp(x):.6f}" for x in (value, *ends)))) | {"status": "converged"}
    return row


def less(a, b):
    return None if None in (a, b) else a - b


def of_laws(base):
    """Factors that power laws through all budgets of the flagship give: ways of counting at its largest, and its smallest budget."""
    top, bottom = max(base), min(base)

    def law(counting, budget, rng, plain_at):
        drawn = {at: curve.ratio(rng) for at, curve in base.items()}
        if any(None in found.values() for found in drawn.values()):
            return None
        sides = [on_line({at: found[column] for at, found in drawn.items()}, where) for column, where in ((counting, budget), (ALL, plain_at))]
        return sides[0] - sides[1]

    rows = [step("counting", name, top, lambda rng, column=column: law(column, top, rng, top)) for name, column in COUNTINGS.items()]
    return rows, [step("budget", f"{bottom:.2g} FLOPs, not {top:.2g}".replace("e+", "e"), bottom, lambda rng: law(ALL, bottom, rng, top))]


def of_sweeps(base):
    """Factors at single budgets, of curves that differ in one cause."""
    rows = []
    for cause, instead, folder in SWEEPS:
        other = curves(folder)
        for budget in SINGLE:
            if budget in other:
                both = (other[budget], base[budget])
                rows.append(step(cause, instead, budget, lambda rng, both=both: less(*(curve.ratio(rng)[ALL] for curve in both))))
    return rows


def of_tuning():
    """Factors of tuning each point, as scripts/tuned-pairs.py wrote them."""
    rows = []
    with open(ROOT / "results/tuned-pairs.csv", newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["what"] == "tokens_per_param" and float(row["budget"]) >= min(SINGLE):
                ends = {"factor": row["value"], "low": row["low"], "high": row["high"]}
                rows.append({"cause": "tuning", "instead": "rate, batch, decay at each point", "budget": row["budget"], **ends, "status": "converged"})
    return rows


def of_seeds():
    """One seed against the other, where there are two."""
    first, second = curves("isoflop", "1"), curves("isoflop", "2")
    sides = [(budget, (second[budget], first[budget])) for budget in second]
    return [step("seeds", "seed 2 alone, not seed 1", budget, lambda rng, both=both: less(*(c.ratio(rng)[ALL] for c in both))) for budget, both in sides]


def of_forms(base):
    """Other forms of the fit on the same runs, at the largest budget: each with the interval of its own number."""
    told = json.loads((ROOT / "results/isoflop/fits.json").read_text())
    top = max(base)
    at_top = lambda fit: next(at for at in fit["tokens_per_param"] if at["flops"] == top)
    plain = at_top(next(fit for fit in told["approach2"] if fit["counting"] == "all"))["value"]
    alone = on_line({at: curve.ratio()[ALL] for at, curve in base.items()}, top)
    if abs(math.exp(alone) / plain - 1) > 1e-6:
        sys.exit(f"approach 2 here gives {math.exp(alone)}, results/isoflop/fits.json {plain}")
    rows = [step("form of fit", "the largest budget's curve alone", top, lambda rng: less(base[top].ratio(rng)[ALL], alone))]
    for fit in told["approaches"]:
        if fit["counting"] == "all" and fit["approach"] in FORMS:
            ends = {name: f"{at_top(fit)[end] / plain:.6f}" for name, end in (("factor", "value"), ("low", "low"), ("high", "high"))}
            rows.append({"cause": "form of fit", "instead": FORMS[fit["approach"]], "budget": f"{top:g}", **ends, "status": fit["status"]})
        if fit["counting"] == "all" and fit["approach"] == "1":
            none = {"factor": "", "low": "", "high": "", "status": fit["status"]}
            rows.append({"cause": "form of fit", "instead": "approach 1", "budget": f"{top:g}", **none})
    return rows, plain


def table():
    base = curves("isoflop")
    counting, budget = of_laws(base)
    forms, plain = of_forms(base)
    sweeps = of_sweeps(base)
    early = [row for row in sweeps if row["cause"] not in ("embedding", "parameterization")]
    late = [row for row in sweeps if row not in early]
    return counting + early + of_tuning() + late + of_seeds() + forms + budget, plain


LEFT, RIGHT, WIDTH, TOP, LINE, LEAST, MOST = 380, 900, 1130, 66, 13, 8, 50
SHADES = ["#1b4f72", "#5dade2", "#aed6f1"]


def place(ratio):
    """Of a ratio on the axis, which is logarithmic."""
    return LEFT + (RIGHT - LEFT) * math.log(min(max(ratio, LEAST), MOST) / LEAST) / math.log(MOST / LEAST)


def drawn_row(rows, plain, y):
    """A cause: its largest budget as a bar from the plain ratio, with its number; smaller budgets below it, lighter."""
    rows = sorted(rows, key=lambda row: -float(row["budget"]))
    middle = y + LINE * len(rows) // 2 + 5
    parts = [f'<text class="name" x="{LEFT - 14}" y="{middle}"><tspan class="cause">{rows[0]["cause"]}</tspan> {rows[0]["instead"]}</text>']
    for at, (row, shade) in enumerate(zip(rows, SHADES)):
        budget, height = row["budget"].replace("e+", "e"), y + LINE * at + 7
        if row["status"] != "converged":
            parts.append(f'<text class="said" x="{RIGHT + 12}" y="{height + 5}">not identified at {budget}</text>')
            continue
        value, low, high = (plain * float(row[end]) for end in ("factor", "low", "high"))
        said = f'×{float(row["factor"]):.2f} ({float(row["low"]):.2f} to {float(row["high"]):.2f}) at {budget}'
        ends = sorted((place(plain), place(value)))
        bar = f'<rect x="{ends[0]:.1f}" y="{height - 4}" width="{ends[1] - ends[0]:.1f}" height="8" opacity="0.35" stroke="none"/>' if at == 0 else ""
        parts.append(
            f'<g stroke="{shade}" fill="{shade}"><title>{said} FLOPs</title>{bar}'
            f'<line x1="{place(low):.1f}" y1="{height}" x2="{place(high):.1f}" y2="{height}" stroke-width="2"/>'
            f'<circle cx="{place(value):.1f}" cy="{height}" r="{4 if at == 0 else 3}"/></g>'
        )
        if at == 0:
            parts.append(f'<text class="said" x="{RIGHT + 12}" y="{height + 5}">{said}</text>')
    return parts, y + LINE * len(rows) + 12


def figure(rows, plain):
    parts, y, causes = [], TOP, {}
    for row in rows:
        causes.setdefault((row["cause"], row["instead"]), []).append(row)
    for of in causes.values():
        more, y = drawn_row(of, plain, y)
        parts += more
    # Lines of the axis lie below what is drawn on it.
    axis = []
    for ratio in (8, 10, 12, 15, 20, 25, 30, 40, 50):
        at, kind = f"{place(plain if ratio == round(plain) else ratio):.1f}", {15: "plain", 20: "twenty"}.get(ratio, "grid")
        axis.append(f'<line class="{kind}" x1="{at}" y1="{TOP - 12}" x2="{at}" y2="{y}"/><text class="tick" x="{at}" y="{y + 18}">{ratio}</text>')
    at = f"{place(plain):.1f}"
    head = f'<text class="tick" x="{at}" y="{TOP - 18}">{plain:.1f}: sweeps/isoflop.toml, 3.1e13</text><text class="tick" x="{place(20):.1f}" y="{TOP - 36}">20</text>'
    body = "\n".join(axis + [head] + parts)
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y + 66}" role="img">
<title>From 15 to 20 tokens per parameter: the factor of each cause alone, with 95% intervals</title>
<style>
text {{ font: 14px sans-serif; fill: #333 }}
.name {{ text-anchor: end }}
.cause {{ font-weight: bold }}
.said {{ font-size: 13px }}
.tick {{ text-anchor: middle; fill: #777 }}
.grid {{ stroke: #ddd }}
.plain {{ stroke: #333 }}
.twenty {{ stroke: #c0392b; stroke-dasharray: 5 4 }}
</style>
<rect width="100%" height="100%" fill="white"/>
{body}
<text class="tick" x="{(LEFT + RIGHT) // 2}" y="{y + 38}">tokens per parameter: {plain:.1f} times the factor of one cause alone, all parameters counted but for counting</text>
<text class="tick" x="{(LEFT + RIGHT) // 2}" y="{y + 57}">dark: the largest budget at which the cause was measured; lighter: smaller ones</text>
</svg>
"""


def main():
    rows, plain = table()
    written = io.StringIO()
    writer = csv.DictWriter(written, rows[0].keys(), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    made = {TABLE: written.getvalue(), FIGURE: figure(rows, plain)}
    if sys.argv[1:] == ["--check"]:
        for path, text in made.items():
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                sys.exit(f"{path} is not that of the runs and fits: run scripts/causes.py")
        return
    for path, text in made.items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
