"""Hands the runs beside this script to MLflow: python import.py [TRACKING_URI]

Without a URI they go where MLFLOW_TRACKING_URI says, or where MLflow keeps runs by itself. Runs that are there already
(by the tag runner.run) are left alone, so that it may be run again.
"""
import json
import pathlib
import sys

import mlflow
from mlflow.entities import Metric, Param, RunTag

EXPERIMENT = "EXPERIMENT"
# What the sweep found, in words; empty where it found no one number.
HEADLINE = "HEADLINE"

if len(sys.argv) > 1:
    mlflow.set_tracking_uri(sys.argv[1])
client = mlflow.MlflowClient()
found = client.get_experiment_by_name(EXPERIMENT)
experiment = found.experiment_id if found else client.create_experiment(EXPERIMENT)
if HEADLINE:
    client.set_experiment_tag(experiment, "runner.headline", HEADLINE)
    # What MLflow's page shows as the description.
    client.set_experiment_tag(experiment, "mlflow.note.content", HEADLINE)

imported = 0
for line in pathlib.Path(__file__).with_name("runs.jsonl").open(encoding="utf-8"):
    run = json.loads(line)
    if client.search_runs([experiment], f"tags.`runner.run` = '{run['name']}'", max_results=1):
        continue
    tags = {"runner.run": run["name"], "mlflow.runName": run["name"], "runner.status": run["status"] or ""}
    there = client.create_run(experiment, tags=tags).info
    now = there.start_time
    params = [Param(key, str(value)) for key, value in run["settings"].items()]
    last = int(run["curve"][-1]["step"]) if run["curve"] else 0
    metrics = [
        Metric(key, value, now, int(point["step"]))
        for point in run["curve"] for key, value in point.items() if key != "step"
    ]
    curve = {metric.key for metric in metrics}
    metrics += [Metric(key, value, now, last) for key, value in run["results"].items() if key not in curve]
    # The limits of one call to a tracking server.
    for at in range(0, len(params), 100):
        client.log_batch(there.run_id, params=params[at : at + 100])
    for at in range(0, len(metrics), 1000):
        client.log_batch(there.run_id, metrics=metrics[at : at + 1000])
    status = {"diverged": "FAILED", "failed": "FAILED", "pending": "SCHEDULED"}.get(run["status"], "FINISHED")
    client.set_terminated(there.run_id, status)
    imported += 1
print(f"{imported} runs imported into the experiment {EXPERIMENT} of {mlflow.get_tracking_uri()}")
