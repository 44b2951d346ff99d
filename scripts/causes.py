#!/usr/bin/env python3
"""The figure of what moves tokens per parameter (SVG), from the fits of the folders that docs/reproduction.md names.

Usage: scripts/causes.py            writes docs/causes.svg
       scripts/causes.py --check    exits 1 where the figure is not that of the fits
"""

import json
import math
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FIGURE = ROOT / "docs/causes.svg"
BUDGETS = [(1e12, "#7fb3d5"), (2.4e12, "#2e86c1"), (5.6e12, "#1b4f72")]
# What differs, the folder, and what is counted as a parameter.
CAUSES = [
    ("nothing: sweeps/isoflop.toml", "isoflop", "all"),
    ("counted: blocks and unembedding", "isoflop", "blocks_and_unembedding"),
    ("counted: blocks", "isoflop", "non_embedding"),
    ("text: Debian's documentation", "isoflop-docs", "all"),
    ("text: C source", "isoflop-c", "all"),
    ("vocabulary of 512 entries", "why-15-vocabulary", "all"),
    ("context of 256 tokens", "why-15-context", "all"),
    ("a constant rate, then a cooldown", "why-15-schedule", "all"),
    ("CompleteP, one rate for all points", "completep", "all"),
    ("embedding begins at 1", "why-15-embedding", "all"),
    ("rate, batch and decay tuned at each point", "why-15-tuning", "all"),
]
LEFT, RIGHT, WIDTH, TOP, ROW, LEAST, MOST = 330, 976, 1000, 66, 48, 8, 96


def place(ratio):
    """Of a ratio on the axis, which is logarithmic."""
    return LEFT + (RIGHT - LEFT) * math.log(ratio / LEAST) / math.log(MOST / LEAST)


def optima(folder, counting):
    """Tokens per parameter by approach 2 at each budget that has them."""
    path = ROOT / "results" / folder / "fits.json"
    if not path.exists():
        return {}
    told = json.loads(path.read_text())
    # Where each point was tuned, the curves are those of the best runs.
    curves = told["approach2"] or [fit for fits in told.get("isoflop_groups", {}).values() for fit in fits]
    fits = [fit for fit in curves if fit["counting"] == counting]
    if not fits:
        sys.exit(f"{path}: no approach 2 with parameters counted as {counting}")
    return {at["budget"]: at["tokens_per_param"] for at in fits[0]["optima"] if at["status"] == "converged"}


def interval(found, color, y):
    low, high = (place(min(max(found[end], LEAST), MOST)) for end in ("low", "high"))
    title = f'{found["value"]:.1f} ({found["low"]:.1f} to {found["high"]:.1f})'
    return (
        f'<g stroke="{color}" fill="{color}"><title>{title}</title>'
        f'<line x1="{low:.1f}" y1="{y}" x2="{high:.1f}" y2="{y}" stroke-width="2"/>'
        f'<circle cx="{place(found["value"]):.1f}" cy="{y}" r="4"/></g>'
    )


def figure():
    rows = [(name, found) for name, folder, counting in CAUSES if (found := optima(folder, counting))]
    bottom = TOP + ROW * len(rows)
    drawn = []
    for ratio in (10, 15, 20, 30, 40, 60, 80):
        kind = "twenty" if ratio == 20 else "grid"
        drawn.append(f'<line class="{kind}" x1="{place(ratio):.1f}" y1="{TOP - 8}" x2="{place(ratio):.1f}" y2="{bottom}"/>')
        drawn.append(f'<text class="tick" x="{place(ratio):.1f}" y="{bottom + 18}">{ratio}</text>')
    for at, (name, found) in enumerate(rows):
        middle = TOP + ROW * at + ROW // 2 - 4
        drawn.append(f'<text class="name" x="{LEFT - 14}" y="{middle + 5}">{name}</text>')
        for step, (budget, color) in enumerate(BUDGETS):
            if budget in found:
                drawn.append(interval(found[budget], color, middle + 11 * (step - 1)))
    for step, (budget, color) in enumerate(BUDGETS):
        x = LEFT + 150 * step
        drawn.append(f'<circle cx="{x}" cy="28" r="5" fill="{color}"/><text x="{x + 12}" y="33">{budget:.2g} FLOPs</text>'.replace("e+12", "e12"))
    body = "\n".join(drawn)
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {bottom + 48}" role="img">
<title>Tokens per parameter by what differs from the base grid, with 95% intervals</title>
<style>
text {{ font: 14px sans-serif; fill: #333 }}
.name {{ text-anchor: end }}
.tick {{ text-anchor: middle; fill: #777 }}
.grid {{ stroke: #ddd }}
.twenty {{ stroke: #c0392b; stroke-dasharray: 5 4 }}
</style>
<rect width="100%" height="100%" fill="white"/>
{body}
<text class="tick" x="{(LEFT + RIGHT) // 2}" y="{bottom + 40}">tokens per parameter at the optimum, approach 2, with 95% intervals</text>
</svg>
"""


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        sys.exit(0 if FIGURE.read_text() == figure() else f"{FIGURE} is not that of the fits: run scripts/causes.py")
    FIGURE.write_text(figure())
