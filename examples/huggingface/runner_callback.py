"""Lets Hugging Face's `Trainer` train the runs of `runner sweep`: the callback tells the curve and stops when it is asked to."""

import json
import signal

from transformers import TrainerCallback


def say(**what):
    print(json.dumps(what), flush=True)


class RunnerCallback(TrainerCallback):
    def __init__(self, run):
        self.run, self.stopped = run, False
        signal.signal(signal.SIGTERM, self.stop)

    def stop(self, *_):
        self.stopped = True

    def on_log(self, args, state, control, logs=None, **_):
        if logs and "loss" in logs:
            told = {key: logs[key] for key in ("learning_rate", "grad_norm") if key in logs}
            say(step=state.global_step, loss=float(logs["loss"]), **{key: float(value) for key, value in told.items()})

    def on_step_end(self, args, state, control, **_):
        if self.stopped:
            control.should_save = control.should_training_stop = True
