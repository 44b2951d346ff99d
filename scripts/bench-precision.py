#!/usr/bin/env python3
"""Training speed on the CPU with products in bf16 beside f32, in turn.

Usage: scripts/bench-precision.py RUNNER OUT.csv [PAIRS [SECONDS]]

One row a pair: tokens per second of each and their ratio, for the models of configs/bench-*.toml, with one slot and with two. The
processor must have AVX512-BF16. Nothing else should run meanwhile.
"""

import csv
import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RUNNER, OUT = sys.argv[1:3]
PAIRS, SECONDS = (int(word) for word in (sys.argv[3:] + ["5", "2"])[:2])


def speed(config, slots):
    words = [RUNNER, "bench", "--config", config, "--device", "cpu", "--slots-per-device", slots, "--seconds", SECONDS, "--json"]
    run = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    if run.returncode:
        sys.exit(run.stderr)
    return json.loads(run.stdout.strip().splitlines()[-1])["tokens_per_second"]


processor = next(
    line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")
)
with tempfile.TemporaryDirectory() as folder, open(OUT, "w", newline="") as file:
    table = csv.writer(file, lineterminator="\n")
    table.writerow(["processor", "model", "slots", "pair", "f32", "bf16", "ratio"])
    configs = {}
    for model in "abc":
        text = (ROOT / f"configs/bench-{model}.toml").read_text()
        for precision in ("f32", "bf16"):
            configs[model, precision] = Path(folder) / f"{model}-{precision}.toml"
            configs[model, precision].write_text(f'{text}\n[train]\nprecision = "{precision}"\n')
    for pair in range(PAIRS):
        for model in "abc":
            for slots in (1, 2):
                # The two take turns at being first.
                order = ("f32", "bf16") if pair % 2 == 0 else ("bf16", "f32")
                found = {precision: speed(configs[model, precision], slots) for precision in order}
                ratio = found["bf16"] / found["f32"]
                table.writerow([processor, model, slots, pair, round(found["f32"]), round(found["bf16"]), f"{ratio:.4f}"])
                file.flush()
