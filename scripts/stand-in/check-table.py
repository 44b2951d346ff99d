"""Sees whether gpu-table.py made what check-driver.sh expects of the stages small, slots, large and precisions.

usage: check-table.py SPEED.jsonl GPU.csv
"""

import csv
import json
import statistics
import sys

# Model, precision, runs, whether stepped together, program; measurements behind it.
EXPECTED = {(model, "bf16", runs, how, "runner"): 1 for model in "ab" for runs in (2, 4) for how in ("", "yes")}
EXPECTED |= {(model, "bf16", 1, "", "runner"): 2 for model in "abde"}
EXPECTED |= {(model, "bf16", 1, "", "torch"): 1 for model in "abde"}
EXPECTED |= {(model, precision, 1, "", "runner"): 1 for model in "ad" for precision in ("f32", "tf32")}


def key(row):
    return row["model"], row["precision"], int(row["runs"]), row["together"], row["program"]


def main():
    with open(sys.argv[1]) as file:
        lines = [json.loads(line) for line in file]
    with open(sys.argv[2]) as file:
        rows = {key(row): row for row in csv.DictReader(file)}
    assert {name: int(row["measured"]) for name, row in rows.items()} == EXPECTED, rows.keys()
    order = [line.get("program", "runner") for line in lines if line["name"].removeprefix("bench-") == "e"]
    assert order == ["runner", "torch", "runner"], order
    measured = {}
    for line in lines:
        together = "yes" if line.get("share_steps") else ""
        slots, program = len(line.get("slots", "1")), line.get("program", "runner")
        name = line["name"].removeprefix("bench-"), line["precision"], slots, together, program
        measured.setdefault(name, []).append(line["tokens_per_second"])
    for name, row in rows.items():
        speed = statistics.median(measured[name])
        torch = statistics.median(measured[name[0], "bf16", 1, "", "torch"])
        assert (row["card"], row["driver"]) == ("a fake card", "580.00"), row
        assert float(row["tokens_per_second"]) == float(f"{speed:.4g}") > 0, row
        assert float(row["of_torch"]) == float(f"{speed / torch:.3g}") > 0, row
        assert float(row["card_mb"]) > 0 and float(row["first_step_s"]) > 0, row
        ours = [row[column] for column in ("step_ms", "of_peak", "products")]
        assert all(float(value) > 0 for value in ours) if name[4] == "runner" else not any(ours), row
        # Who waits for others as well cannot tell how busy it was.
        tells_host = name[3:] == ("", "runner")
        assert 0 < float(row["host"]) <= 1 if tells_host else row["host"] == "", row


main()
