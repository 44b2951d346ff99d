"""Hands the runs beside this script to Weights & Biases: python import.py [PROJECT]

With WANDB_MODE=offline they are written into the folder wandb, from where `wandb sync` sends them. Runs keep their names
as identities, so that a second import replaces the first.
"""
import json
import pathlib
import sys

import wandb

PROJECT = sys.argv[1] if len(sys.argv) > 1 else "EXPERIMENT"
# What the sweep found, in words; empty where it found no one number.
HEADLINE = "HEADLINE"

imported = 0
for line in pathlib.Path(__file__).with_name("runs.jsonl").open(encoding="utf-8"):
    run = json.loads(line)
    settings = dict(run["settings"], status=run["status"])
    with wandb.init(project=PROJECT, id=run["name"], name=run["name"], config=settings, notes=HEADLINE or None) as there:
        for point in run["curve"]:
            there.log({key: value for key, value in point.items() if key != "step"}, step=int(point["step"]))
        there.summary.update(run["results"])
        there.finish(exit_code=1 if run["status"] in ("diverged", "failed") else 0)
    imported += 1
print(f"{imported} runs imported into the project {PROJECT}")
