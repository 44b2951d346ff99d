"""A stand-in for your trainer: it TRAINS NOTHING. Its losses come from a formula with some noise, so that `runner sweep` has something to
fit while you try it out. It does all that docs/programs.md asks for; put your own training where `> yours` stands.

usage: train.py CONFIG          the JSON file of one run. Needs Python alone.
"""

import json
import os
import random
import signal
import sys
import time

PARTS = 50                       # lines of the curve; the stand-in does the steps between two of them in no time
SECONDS = 1.0                    # that a run pretends to take

asked_to_stop = []


def say(**what):
    """A line that `runner` reads. Without `flush` it would lie in a buffer, which looks like silence."""
    print(json.dumps(what), flush=True)


def load(path):
    """The state of an earlier attempt, or that of the beginning."""
    if not os.path.exists(path):
        return {"step": 0}       # > yours: a new model and optimizer
    with open(path) as file:
        return json.load(file)   # > yours: torch.load and the like


def save(path, state):
    """Written aside and renamed: whoever is killed meanwhile leaves a whole checkpoint."""
    with open(path + ".new", "w") as file:
        json.dump(state, file)   # > yours: torch.save and the like
    os.replace(path + ".new", path)


def surface(params, tokens):
    """Made up: the law of Hoffmann et al. with the constants of Besiroglu et al. 2024, in nats per token."""
    return 1.8172 + 482.01 / params**0.3478 + 2085.43 / tokens**0.3658


def main():
    with open(sys.argv[1]) as file:
        run = json.load(file)
    # > yours: a model by run["config"], seeded by run["seed"], on run["device"]
    print("a stand-in: nothing is trained, all losses are made up", file=sys.stderr)
    say(stand_in="losses are made up")            # a column of runs.csv; > yours: delete it
    noise = random.Random("{run} {seed}".format(**run)).gauss(0, 0.002)

    signal.signal(signal.SIGTERM, lambda *_: asked_to_stop.append(True))
    checkpoint = os.path.join(run["folder"], "checkpoint.json")
    state = load(checkpoint)
    for part in range(1, PARTS + 1):
        step = run["steps"] * part // PARTS
        if step <= state["step"]:
            continue
        time.sleep(SECONDS / PARTS)               # > yours: the steps from state["step"] to step
        state["step"] = step
        loss = surface(run["params"], step * run["tokens_per_step"]) + noise
        say(step=step, loss=loss)
        if asked_to_stop:
            save(checkpoint, state)
            sys.exit(75)                          # checkpointed: to be started again
        if part % 10 == 0:
            save(checkpoint, state)

    # > yours: the loss on the same held-out text for all runs, in nats per token
    say(step=run["steps"], val_loss=surface(run["params"], run["tokens"]) + noise, val_loss_stderr=0.002)


if __name__ == "__main__":
    main()
