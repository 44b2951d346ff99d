"""Turns the lines that check-gpu.sh measured into a table, one row a model, precision, program and number of runs: medians.

usage: gpu-table.py SPEED.jsonl OUT.csv      columns: docs/gpu.md
"""

import csv
import json
import statistics
import subprocess
import sys

COLUMNS = (
    "card,driver,program,model,precision,runs,together,measured,tokens_per_second,of_torch,step_ms,of_peak,products,host,card_mb,first_step_s"
).split(",")


def card():
    query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        lines = subprocess.run(query, check=True, capture_output=True, text=True).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        return "none", ""
    return [part.strip() for part in lines[0].split(",")]


def row(line):
    slots = line.get("slots", [])
    mean = lambda key: statistics.mean(slot[key] for slot in slots) if slots and slots[0].get(key) is not None else None
    phases = [sum(slot["phases"][phase] for phase in ("data", "forward", "backward", "optimizer")) for slot in slots]
    memory = line.get("card_memory")
    return {
        "program": line.get("program", "runner"),
        "model": line["name"].removeprefix("bench-"),
        "precision": line["precision"],
        "runs": max(len(slots), 1),
        "together": "yes" if line.get("share_steps") else "",
        "tokens_per_second": line["tokens_per_second"],
        "step_ms": 1e3 * statistics.mean(phases) if phases else None,
        "of_peak": line.get("share_of_peak"),
        "products": mean("share_of_products"),
        "host": mean("host_share"),
        "card_mb": memory / 2**20 if memory is not None else None,
        "first_step_s": line.get("first_step"),
    }


def main():
    source, out = sys.argv[1:]
    with open(source) as file:
        rows = [row(json.loads(text)) for text in file if text.strip()]
    groups = {}
    for each in rows:
        groups.setdefault(tuple(each[key] for key in ("model", "precision", "runs", "together", "program")), []).append(each)
    torch = {key[0]: statistics.median(one["tokens_per_second"] for one in some) for key, some in groups.items() if key[-1] == "torch"}
    name, driver = card()
    with open(out, "w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for key, some in sorted(groups.items()):
            median = dict(some[0], card=name, driver=driver, measured=len(some))
            for column in COLUMNS[COLUMNS.index("tokens_per_second") :]:
                values = [one[column] for one in some if one.get(column) is not None]
                median[column] = f"{statistics.median(values):.4g}" if values else ""
            if key[0] in torch:
                # PyTorch's best there is one run at a time: sixteen processes together gained nothing.
                median["of_torch"] = f"{statistics.median(one['tokens_per_second'] for one in some) / torch[key[0]]:.3g}"
            writer.writerow(median)


main()
