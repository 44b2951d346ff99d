"""What the benchmarks of training share: starting `runner bench`, pairs in turn, and the processor's name."""

import json
import os
import pathlib
import platform
import subprocess
import sys


def output(command):
    # As `runner sweep` does for its workers: memory is kept for the next step.
    environment = os.environ | {"MIMALLOC_PURGE_DELAY": "-1"}
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        sys.exit(f"{' '.join(done.args)} ended with {done.returncode}:\n{done.stderr}")
    return done.stdout


def run(command):
    return json.loads(output(command))


def runner(binary, config, slots, seconds):
    return run([binary, "bench", "--config", config, "--device", "cpu", "--slots", slots, "--seconds", seconds, "--json"])


def in_turn(sides, repeat):
    """What both sides give, taking turns at being first."""
    results = [None, None]
    for side in (0, 1) if repeat % 2 == 0 else (1, 0):
        results[side] = sides[side]()
    return results


def processor():
    """As Linux calls it, or else as Python does."""
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
