"""Compares the optima of two sweeps: the 95% intervals of each budget's optimum must meet, under every convention of counting.

usage: check-torch.py FITS FITS"""

import json
import sys

first, second = ({fit["counting"]: fit for fit in json.load(open(path))["approach2"]} for path in sys.argv[1:3])
apart = compared = 0
for counting, fit in first.items():
    for one, other in zip(fit["optima"], second[counting]["optima"], strict=True):
        if "converged" not in one["status"] or "converged" not in other["status"]:
            print(f"{counting:24} {one['budget']:.1e}  {one['status']}, {other['status']}: not compared")
            continue
        a, b = one["params"], other["params"]
        meet = a["low"] <= b["high"] and b["low"] <= a["high"]
        compared, apart = compared + 1, apart + (not meet)
        print(
            f"{counting:24} {one['budget']:.1e}  {a['value']:9.0f} ({a['low']:.0f} to {a['high']:.0f})"
            f"  {b['value']:9.0f} ({b['low']:.0f} to {b['high']:.0f})  {'agree' if meet else 'APART'}"
        )
if apart or not compared:
    sys.exit(f"{apart} of {compared} optima are apart")
