"""Runs `runner choose` for every law of a list and prints the means by task beside the published ones."""

import csv
import json
import subprocess
import sys
from collections import defaultdict

COST = {
    "farseer": "6*N*D",
    "data_constrained": "6*params*tokens",
    "moe": "num_experts*dense_parameter_count",
    "parallel": "num_params",
}
BUDGETS = ["1%", "5%", "10%", "100%"]
# The paper's own method, and all rows fitted.
PUBLISHED = {
    "farseer": [0.60, 0.88, 0.93, 0.91],
    "data_constrained": [0.73, 0.85, 0.86, 0.79],
    "moe": [0.59, 0.65, 0.83, 0.81],
    "parallel": [-1.0, 0.77, 0.99, 0.99],
}


def play(runner, data, row, repeats):
    task = row["task"]
    command = [runner, "choose", f"{data}/{task}_train.csv", "--target", f"{data}/{task}_test.csv"]
    command += ["--formula", row["formula"], "--cost", COST[task], "--budget", ",".join(BUDGETS)]
    command += ["--by", "group", "--residuals", "plain", "--repeats", repeats, "--json"]
    for unknown in row["unknowns"].split(";"):
        command += ["--unknown", unknown]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{task} law {row['law']}: {done.stderr}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def main():
    laws, data, runner, repeats, out = sys.argv[1:6]
    only = sys.argv[6:]
    scores = defaultdict(list)
    with open(laws, newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if not only or row["task"] in only]
    with open(out, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["task", "law", "repeat", "budget", "rows", "spent", "r2"])
        for row in rows:
            played = play(runner, data, row, repeats)
            for one in played:
                scores[row["task"], one["budget"]].append(one["r2"])
                values = [one["rows"], f"{one['spent']:.5f}", f"{one['r2']:.4f}"]
                table.writerow([row["task"], row["law"], one["repeat"], one["budget"], *values])
            file.flush()
            of = {budget: [one["r2"] for one in played if one["budget"] == budget] for budget in BUDGETS}
            means = " ".join(f"{sum(of[budget]) / len(of[budget]):6.3f}" for budget in BUDGETS)
            print(f"{row['task']:17} law {row['law']:>2}: {means}", file=sys.stderr, flush=True)
    print("task              budget  runner  published")
    for task, published in PUBLISHED.items():
        for budget, value in zip(BUDGETS, published):
            ours = scores.get((task, budget))
            if ours:
                print(f"{task:17} {budget:>6}  {sum(ours) / len(ours):6.3f}  {value:9.2f}")


main()
