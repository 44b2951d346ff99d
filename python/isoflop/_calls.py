"""The functions: each starts the program once and reads what it prints as JSON."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sysconfig
import tempfile
import warnings

from . import _tables


class Error(Exception):
    """What the program refuses, in its words."""


class _Told:
    """What a result has beside its values: what the program said, and the table that it prints."""

    notes: list[str]

    def __init__(self, values, notes, again, paths=()):
        super().__init__(values)
        self.notes, self._again, self._text = notes, again, None
        # The table is made when it is looked at first, which is too late once the files hold something else.
        self._stood = {path: _stamps(path) for path in paths}

    def __repr__(self) -> str:
        if self._text is None:
            changed = [path for path, stood in self._stood.items() if _stamps(path) != stood]
            plain = super().__repr__()
            self._text = f"{plain}\n(as values: {', '.join(changed)} has changed since)" if changed else self._again()
        return self._text

    def __reduce__(self):
        # Whoever reads it elsewhere has neither the files nor the program.
        return _restored, (type(self), self._values(), self.notes, repr(self))


def _restored(kind, values, notes, text):
    return kind(values, notes, lambda: text)


def _stamps(path) -> list:
    """Times and sizes of a file, or of what lies in a folder."""
    try:
        entries = [path] if os.path.isfile(path) else sorted(entry.path for entry in os.scandir(path) if entry.is_file())
        found = [(entry, os.stat(entry)) for entry in entries]
    except OSError:
        return []
    return [(entry, stat.st_mtime_ns, stat.st_size) for entry, stat in found]


class Fits(_Told, list):
    """What `runner fit --json` prints: a dict for each approach or law. Its repr is the table on the terminal."""

    def _values(self):
        return list(self)


class Answer(_Told, dict):
    """What another command prints with `--json`. Its repr is the table on the terminal."""

    def _values(self):
        return dict(self)


def fit(runs, **flags) -> Fits:
    """Fits scaling laws to a table of runs: `runner fit`. Keywords are its flags, such as approach="2" or by="optimizer"."""
    runs = runs if _tables.is_path(runs) else _tables.columns(runs)
    arguments = _flags(flags)

    def call(extra, again=False):
        with tempfile.TemporaryDirectory() as folder:
            path = runs if _tables.is_path(runs) else os.path.join(folder, "table.jsonl")
            if path is not runs:
                _tables.write(runs, path)
            return _call(["fit", _operand(path), *arguments, *extra], again)

    printed, notes = call(["--json"])
    paths = [_operand(runs)] if _tables.is_path(runs) else []
    return Fits([json.loads(line) for line in printed.splitlines()], notes, lambda: call([], again=True)[0], paths)


def allocate(fits, *, flops: float, **flags) -> Answer:
    """The best model for a budget, from what `fit` returned or a results folder: `runner allocate`."""
    return _from_fits("allocate", fits, {"flops": flops, **flags})


def predict(fits, **flags) -> Answer:
    """The loss of one model, from what `fit` returned or a results folder: `runner predict`, with params=1e9, tokens=2e10."""
    return _from_fits("predict", fits, flags)


def compare(first, second, **flags) -> Answer:
    """Two results folders, or two runs: `runner compare`."""
    paths = [_operand(first), _operand(second)]
    return _answer(["compare", *paths, *_flags(flags)], paths)


def plan(spec, *, set=None, **flags) -> Answer:
    """Every run of a spec with its size, FLOPs and hours, without training: `runner plan`. `set` holds keys set otherwise."""
    keys = [word for key, value in (set or {}).items() for word in ("--set", f"{key}={_toml(value)}")]
    return _answer(["plan", _operand(spec), *keys, *_flags(flags)], [_operand(spec)])


def _from_fits(command, fits, flags) -> Answer:
    arguments = _flags(flags)
    values = fits if _tables.is_path(fits) else [dict(value) for value in fits]

    def call(extra, again=False):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "fits.jsonl")
            if _tables.is_path(values):
                path = values
            else:
                with open(path, "w", encoding="utf-8") as out:
                    out.writelines(json.dumps(value) + "\n" for value in values)
            return _call([command, "--fit", os.fspath(path), *arguments, *extra], again)

    printed, notes = call(["--json"])
    paths = [_operand(values)] if _tables.is_path(values) else []
    return Answer(json.loads(printed), notes, lambda: call([], again=True)[0], paths)


def _answer(words, paths) -> Answer:
    printed, notes = _call([*words, "--json"])
    return Answer(json.loads(printed), notes, lambda: _call(words, again=True)[0], paths)


def _operand(path) -> str:
    """A path that no flag can be taken for."""
    path = os.fspath(path)
    return os.path.join(".", path) if path.startswith("-") else path


def _flags(flags) -> list[str]:
    """Keywords as flags: True stands alone, False and None are left out, a list is one flag with commas."""
    words = []
    for name, value in flags.items():
        flag = "--" + name.replace("_", "-")
        if flag == "--json":
            raise TypeError("json is not a keyword: results are dicts already")
        if value is True:
            words.append(flag)
        elif name in _REPEATED and isinstance(value, (list, tuple)):
            words.extend(f"{flag}={_word(each)}" for each in value)
        elif value is not None and value is not False:
            several = isinstance(value, (list, tuple))
            words.append(f"{flag}={','.join(map(_word, value)) if several else _word(value)}")
    return words


# Flags that are given again where there are several, since their values may hold commas.
_REPEATED = {"formula", "unknown"}


def _word(value) -> str:
    value = value.item() if hasattr(value, "item") else value
    return repr(value) if isinstance(value, float) else os.fspath(value) if isinstance(value, os.PathLike) else str(value)


def _toml(value) -> str:
    """A value of TOML; JSON writes numbers, texts and lists as TOML does."""
    value = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(str(key), ensure_ascii=False)} = {_toml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def _program() -> str:
    """The program that came with this package, or the one that is on the path; ISOFLOP_RUNNER says otherwise."""
    beside = os.path.join(sysconfig.get_path("scripts"), "runner")
    found = os.environ.get("ISOFLOP_RUNNER") or (beside if os.path.exists(beside) else shutil.which("runner"))
    if not found:
        raise Error("the program `runner` is not there: install this package again, or set ISOFLOP_RUNNER to its path")
    return found


def _call(words, again=False) -> tuple[str, list[str]]:
    """What the program prints, and what it says beside it. What it warns of is not told again for the table of a result."""
    environment = {**os.environ, "COLUMNS": os.environ.get("COLUMNS", "120"), "NO_COLOR": "1"}
    done = subprocess.run(
        [_program(), *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, encoding="utf-8", env=environment
    )
    said = [line for line in done.stderr.splitlines() if line.strip()]
    if done.returncode != 0:
        told = [line.removeprefix("error: ") for line in said]
        raise Error("\n".join(told) or f"runner {words[0]} ended with exit code {done.returncode}")
    for line in said if not again else []:
        if line.startswith("warning: "):
            warnings.warn(line.removeprefix("warning: "), stacklevel=4)
    return done.stdout, said
