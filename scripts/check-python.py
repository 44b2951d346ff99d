"""Compares the Python package with the command line: the same numbers to the bit from every kind of table, and every mistake
told. usage: check-python.py SCRATCH, a folder to write in."""

import json
import os
import pathlib
import pickle
import subprocess
import sys
import warnings

import isoflop
import numpy
import pandas
import polars
import pyarrow

RUNS = "results/isoflop/runs.csv"
scratch = pathlib.Path(sys.argv[1])
# Tables are as wide as the terminal, here for both.
os.environ["COLUMNS"] = "120"


def command(*words):
    done = subprocess.run(["runner", *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def bits(value):
    """A value in which numbers are equal only where their bits are."""
    if isinstance(value, float):
        return value.hex()
    if isinstance(value, dict):
        return {key: bits(inner) for key, inner in value.items()}
    return [bits(inner) for inner in value] if isinstance(value, list) else value


def refused(call, *words):
    try:
        call()
    except (isoflop.Error, TypeError, ValueError) as error:
        assert all(word in str(error) for word in words), (words, str(error))
    else:
        raise AssertionError(f"not refused: {words}")


frame = pandas.read_csv(RUNS)
frame = frame[frame["status"] == "finished"]
path = scratch / "runs.csv"
frame.to_csv(path, index=False)
flags = ["--bootstrap", "100"]
expected = [bits(json.loads(line)) for line in command("fit", path, "--json", *flags).splitlines()]
assert len(expected) >= 3
needed = ["params", "params_non_embedding", "params_blocks_and_unembedding", "tokens", "flops", "flop_budget", "val_loss", "val_loss_se", "seed"]
columns = {name: frame[name].to_numpy() for name in needed}
tables = {
    "pandas": frame,
    "polars": polars.read_csv(path),
    "pyarrow": pyarrow.table(columns),
    "a dict of arrays": columns,
    "a dict of lists": {name: values.tolist() for name, values in columns.items()},
    "a list of dicts": frame[needed].to_dict("records"),
    "a path": path,
}


class Stream:
    """Speaks Arrow and nothing else."""

    def __arrow_c_stream__(self, requested_schema=None):
        return tables["pyarrow"].__arrow_c_stream__(requested_schema)


tables["Arrow's stream"] = Stream()
for kind, table in tables.items():
    found = isoflop.fit(table, bootstrap=100)
    assert bits(list(found)) == expected, f"{kind} gives other numbers"
    assert type(found[0]) is dict and isinstance(found.notes, list)
    print(f"{kind}: {len(found)} fits, the command's to the bit")
fits = isoflop.fit(frame, bootstrap=100)
table = command("fit", path, *flags)
assert repr(fits) == table, "the repr is not the table of the terminal"

copied = pickle.loads(pickle.dumps(fits))
assert bits(list(copied)) == expected and repr(copied) == table and copied.notes == fits.notes, "a pickle is another result"
changing = scratch / "changing.csv"
changing.write_text(path.read_text())
of_path = isoflop.fit(changing, bootstrap=100)
changing.write_text("\n".join(path.read_text().splitlines()[:-3]))
assert "changing.csv has changed since" in repr(of_path), "the table of another file"

# An extrapolation so far warns, which is looked at below.
warnings.simplefilter("ignore")
saved = scratch / "fits.jsonl"
saved.write_text(command("fit", path, "--json", *flags))
for name, call in [
    ("allocate", lambda fits: isoflop.allocate(fits, flops=1e20)),
    ("predict", lambda fits: isoflop.predict(fits, params=1e9, tokens=2e10)),
]:
    words = {"allocate": ["--flops", "1e20"], "predict": ["--params", "1e9", "--tokens", "2e10"]}[name]
    for source in (fits, saved):
        assert bits(dict(call(source))) == bits(json.loads(command(name, "--fit", saved, "--json", *words))), name
    assert repr(call(fits)) == command(name, "--fit", saved, *words)
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    isoflop.allocate(fits, flops=1e20)
    assert any("beyond the largest" in str(one.message) for one in told), told
planned = isoflop.plan("sweeps/quickstart.toml", set={"sweep.seeds": [1, 2]}, flops_per_second=1e10)
words = ["plan", "sweeps/quickstart.toml", "--set", "sweep.seeds=[1, 2]", "--flops-per-second", "1e10"]
assert bits(dict(planned)) == bits(json.loads(command(*words, "--json")))
compared = isoflop.compare("results/isoflop", "results/isoflop-c")
assert bits(dict(compared)) == bits(json.loads(command("compare", "results/isoflop", "results/isoflop-c", "--json")))

law = isoflop.fit(frame, formula="loss = E + A/params^alpha + B/tokens^beta", unknown=["alpha in 0..2", "beta in 0..2"], bootstrap=100)
assert law[0], law
refused(lambda: isoflop.fit({"N": [1, 2], "D": [1]}), "different lengths", "N 2")
refused(lambda: isoflop.fit({"params": [1e6], "tokens": [1e7]}), "loss")
refused(lambda: isoflop.fit(3), "not int")
refused(lambda: isoflop.fit({}), "no columns")
refused(lambda: isoflop.fit(frame["val_loss"]), "a table has columns", "Series")
refused(lambda: isoflop.fit(polars.Series([1.0, 2.0])), "a table has columns", "Series")
refused(lambda: isoflop.fit({"params": 3}), "an array of values")
refused(lambda: isoflop.fit({1: [2.0]}), "is text")
refused(lambda: isoflop.fit(frame, no_such_flag=True), "--no-such-flag")
refused(lambda: isoflop.fit("absent.csv"), "absent.csv")
refused(lambda: isoflop.fit(frame, json=True), "json")
refused(lambda: isoflop.allocate(fits, flops=-1.0), "flops")
refused(lambda: isoflop.plan("absent.toml"), "absent.toml")
half = {**columns, "val_loss": numpy.where(numpy.arange(len(frame)) == 3, numpy.nan, columns["val_loss"])}
refused(lambda: isoflop.fit(half), "table.jsonl:4", "val_loss")
assert len(isoflop.fit(half, skip_incomplete=True, bootstrap=100)) == len(expected)
print("mistakes: told")
