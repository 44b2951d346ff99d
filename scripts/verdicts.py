#!/usr/bin/env python3
"""The figure of all verdicts (SVG) from the table of claims.

Usage: scripts/verdicts.py            reads docs/laws.md and writes docs/laws.svg
       scripts/verdicts.py --check    exits 1 where the figure is not that of the table
"""

import re
import sys
import textwrap
from pathlib import Path
from xml.sax.saxutils import escape

ROOT = Path(__file__).resolve().parent.parent
PAGE, FIGURE = ROOT / "docs/laws.md", ROOT / "docs/laws.svg"
# Verdict, colour, and a shape that tells it without colour.
VERDICTS = [("agrees", "#2e8b57", "circle"), ("disagrees", "#c0392b", "square"), ("cannot tell", "#8a8f98", "ring")]
WIDTH, COLUMN, LINE, GAP, TOP, FOUND = 1000, 54, 19, 9, 46, 530


def mark(shape, color, x, y):
    if shape == "square":
        return f'<rect x="{x - 6}" y="{y - 6}" width="12" height="12" fill="{color}"/>'
    fill = color if shape == "circle" else "none"
    return f'<circle cx="{x}" cy="{y}" r="6" fill="{fill}" stroke="{color}" stroke-width="2"/>'


def rows():
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| ") and line.count(" | ") == 4]
    for line in lines[1:]:
        claim, verdict, found, _, _ = line.strip("| ").split(" | ")
        yield claim, found, re.findall(r"\*\*([a-z ]+)\*\*", verdict)


def words(text, columns):
    """A cell without links and code, in lines; three at most."""
    plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", text).replace("`", "")
    lines = textwrap.wrap(plain, columns)
    return lines if len(lines) <= 3 else [*lines[:2], lines[2].rstrip(",;") + " ..."]


def figure():
    known = [name for name, *_ in VERDICTS]
    drawn, y = [], TOP
    for claim, found, verdicts in rows():
        unknown = [verdict for verdict in verdicts if verdict not in known]
        if unknown or not verdicts:
            sys.exit(f"{PAGE}: {claim}: the verdict is none of {', '.join(known)}")
        left, right = words(claim, COLUMN), words(found, COLUMN)
        for name, color, shape in VERDICTS:
            if name in verdicts:
                drawn.append(mark(shape, color, 24 + 20 * known.index(name), y + 8))
        for x, lines, kind in [(92, left, "claim"), (FOUND, right, "found")]:
            drawn += [f'<text class="{kind}" x="{x}" y="{y + 13 + at * LINE}">{escape(line)}</text>' for at, line in enumerate(lines)]
        y += max(len(left), len(right)) * LINE + GAP
        drawn.append(f'<line x1="14" y1="{y - 5}" x2="{WIDTH - 14}" y2="{y - 5}"/>')
    legend, x = [], 24
    for name, color, shape in VERDICTS:
        legend.append(mark(shape, color, x, 24) + f'<text class="found" x="{x + 12}" y="29">{name}</text>')
        x += 34 + 9 * len(name)
    body = "\n".join(legend + drawn)
    return f'''<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y + 6}" width="{WIDTH}" height="{y + 6}" role="img">
<title>Claims about scaling, what was found, and the verdicts</title>
<style>text {{ font: 14px system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }} .claim {{ fill: #1b1f24; }} .found {{ fill: #57606a; }} line {{ stroke: #e1e4e8; }}</style>
<rect width="{WIDTH}" height="{y + 6}" rx="6" fill="#ffffff"/>
{body}
</svg>
'''


if sys.argv[1:] == ["--check"]:
    sys.exit(0 if FIGURE.read_text() == figure() else f"{FIGURE} is not that of {PAGE}: run scripts/verdicts.py")
FIGURE.write_text(figure())
