#!/usr/bin/env python3
"""Writes sums of two numbers of 2 to 4 digits, one a line: 123+989=2111, the digits of the sum from the ones up.

usage: corpus-addition.py [OUTPUT] [LINES]      corpora/addition.txt and 1200000 unless given

The task `addition` of `[[eval.tasks]]` asks in the same form. The sums are the same on every machine. Of three
and four digits most sums that there are do not occur in them; of two all do.
"""

import pathlib
import random
import sys

DIGITS = (2, 3, 4)


def line(draw):
    # Drawn, not in turn: a length that repeats would tell the place in a line by that in the sequence.
    digits = draw.choice(DIGITS)
    a, b = draw.randrange(10**digits), draw.randrange(10**digits)
    total = f"{a + b:0{digits + 1}d}"[::-1]
    return f"{a:0{digits}d}+{b:0{digits}d}={total}"


def main():
    output = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "corpora/addition.txt")
    lines = int(sys.argv[2]) if len(sys.argv) > 2 else 1_200_000
    draw = random.Random(1)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text("\n".join(line(draw) for _ in range(lines)) + "\n")


main()
