#!/usr/bin/env python3
"""A picture (SVG) of a terminal of 80 columns with what a command prints, for the README.

Usage: scripts/terminal-picture.py OUT.svg COMMAND...     as in docs/terminal.svg runner fit results/isoflop/runs.csv
  LINES    so many lines of its beginning [default: all]       LAST   and so many of its end [default: 0]
  RUNNER   the program that `runner` stands for [default: target/release/runner]
"""

import os
import subprocess
import sys
from xml.sax.saxutils import escape

COLUMNS, CHAR, LINE, MARGIN = 80, 7.83, 18, 14
# Not every reader of SVG keeps spaces.
NBSP = "\u00a0"

out, command = sys.argv[1], sys.argv[2:]
program = [os.environ.get("RUNNER", "target/release/runner") if word == "runner" else word for word in command]
said = subprocess.run(program, capture_output=True, text=True, check=True, env={**os.environ, "COLUMNS": str(COLUMNS)}).stdout
lines = [f"$ {' '.join(command)}", *said.rstrip("\n").split("\n")]
most, last = int(os.environ.get("LINES", len(lines))), int(os.environ.get("LAST", 0))
if most + last < len(lines):
    lines = [*lines[:most], "...", *lines[len(lines) - last :]]
width, height = round(COLUMNS * CHAR + 2 * MARGIN), len(lines) * LINE + 2 * MARGIN
text = "\n".join(f'<text x="{MARGIN}" y="{MARGIN + 13 + i * LINE}">{escape(line).replace(" ", NBSP)}</text>' for i, line in enumerate(lines) if line)
with open(out, "w") as file:
    file.write(f'''<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">
<title>A terminal: {escape(" ".join(command))}</title>
<style>text {{ font: 13px ui-monospace, "Cascadia Mono", "DejaVu Sans Mono", Menlo, monospace; fill: #e6e9ee; white-space: pre; }}</style>
<rect width="{width}" height="{height}" rx="8" fill="#14181f"/>
{text}
</svg>
''')
