#!/usr/bin/env python3
"""Training speed on the CPU with products in bf16 beside f32, in turn.

Usage: scripts/bench-precision.py RUNNER OUT.csv [PAIRS [SECONDS]]

One row a pair: tokens per second of each and their ratio, for the models of configs/bench-*.toml, with one slot and with two. The
processor must have AVX512-BF16. Nothing else should run meanwhile.
"""

import argparse
import csv
import pathlib
import tempfile

from benching import in_turn, processor, runner

CONFIGS = pathlib.Path(__file__).resolve().parent.parent / "configs"


def config_of(model, precision, scratch):
    """The config of a model with products in a precision."""
    path = pathlib.Path(scratch) / f"{model}-{precision}.toml"
    path.write_text(f'{(CONFIGS / f"bench-{model}.toml").read_text()}\n[train]\nprecision = "{precision}"\n')
    return path


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runner")
    parser.add_argument("out")
    parser.add_argument("pairs", type=int, nargs="?", default=5)
    parser.add_argument("seconds", type=float, nargs="?", default=2.0)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, open(chosen.out, "w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["processor", "model", "slots", "pair", "f32", "bf16", "ratio"])
        for pair in range(chosen.pairs):
            for model in "abc":
                for slots in (1, 2):
                    configs = [config_of(model, precision, scratch) for precision in ("f32", "bf16")]
                    sides = [lambda config=config: runner(chosen.runner, config, slots, chosen.seconds) for config in configs]
                    f32, bf16 = (side["tokens_per_second"] for side in in_turn(sides, pair))
                    table.writerow([processor(), model, slots, pair, round(f32), round(bf16), f"{bf16 / f32:.4f}"])
                    file.flush()


main()
