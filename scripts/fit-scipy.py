#!/usr/bin/env python3
"""Approach 3 in SciPy, the way the public notebooks do it: for comparing answer and speed with `runner fit`.

Usage: fit-scipy.py RUNS.csv [--params COLUMN --flops COLUMN --loss COLUMN --drop-highest K --starts N --delta D]

Every start of the 4500-point grid runs L-BFGS-B with numerical gradients on the summed Huber loss. --starts takes an
even sample of the grid and scales the time up, since the whole grid takes minutes.
"""

import argparse
import csv
import itertools
import time

import numpy as np
from scipy.optimize import minimize
from scipy.special import huber, logsumexp

parser = argparse.ArgumentParser()
parser.add_argument("runs")
parser.add_argument("--params", default="params")
parser.add_argument("--flops", default="flops")
parser.add_argument("--loss", default="val_loss")
parser.add_argument("--drop-highest", type=int, default=0)
parser.add_argument("--starts", type=int, default=4500)
parser.add_argument("--delta", type=float, default=1e-3)
args = parser.parse_args()

with open(args.runs, newline="", encoding="utf-8") as file:
    rows = [[float(row[name]) for name in (args.params, args.flops, args.loss)] for row in csv.DictReader(file)]
rows.sort(key=lambda row: row[2])
params, flops, loss = np.array(rows[: len(rows) - args.drop_highest]).T
log_n, log_d, log_loss = np.log(params), np.log(flops / (6 * params)), np.log(loss)


def objective(x):
    a, b, e, alpha, beta = x
    predicted = logsumexp([a - alpha * log_n, b - beta * log_d, np.full_like(log_n, e)], axis=0)
    return huber(args.delta, predicted - log_loss).sum()


coefficients, exponents = [0, 5, 10, 15, 20, 25], [0, 0.5, 1, 1.5, 2]
grid = list(itertools.product(coefficients, coefficients, [-1, -0.5, 0, 0.5, 1], exponents, exponents))
chosen = [grid[i] for i in np.linspace(0, len(grid) - 1, args.starts).astype(int)]
start = time.process_time()
best = min((minimize(objective, x, method="L-BFGS-B", options={"ftol": 1e-12}) for x in chosen), key=lambda r: r.fun)
seconds = time.process_time() - start
a, b, e, alpha, beta = best.x
print(f"objective {best.fun:.9e} A {np.exp(a):.3f} B {np.exp(b):.3f} E {np.exp(e):.6f} alpha {alpha:.7f} beta {beta:.7f}")
print(f"{len(chosen)} starts in {seconds:.2f} CPU s, {len(grid)} would take {seconds * len(grid) / len(chosen):.0f}")
