"""Tables of any kind as columns of plain numbers and words."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence


def columns(table) -> dict[str, list]:
    """The columns of a dict of arrays, a list of dicts, pandas, polars, pyarrow, or anything that speaks Arrow."""
    if isinstance(table, Mapping):
        found = dict(table)
    elif hasattr(table, "to_pydict"):  # pyarrow
        found = table.to_pydict()
    elif hasattr(table, "get_columns"):  # polars
        found = {column.name: column for column in table.get_columns()}
    elif hasattr(table, "columns") and hasattr(table, "iloc"):  # pandas
        found = {name: table.iloc[:, at] for at, name in enumerate(table.columns)}
        if len(found) < len(table.columns):
            raise ValueError("two columns have the same name")
    elif hasattr(table, "__arrow_c_stream__"):
        try:
            import pyarrow
        except ImportError:
            raise TypeError(f"{type(table).__name__} speaks Arrow, which needs pyarrow: pip install pyarrow") from None
        try:
            found = pyarrow.table(table).to_pydict()
        except (TypeError, ValueError):
            # One column alone, such as a series of pandas or polars, speaks Arrow as well.
            raise TypeError(f"a table has columns with names, and {type(table).__name__} has none: write a data frame") from None
    elif isinstance(table, Sequence) and not isinstance(table, (str, bytes)) and all(isinstance(row, Mapping) for row in table):
        names = list(dict.fromkeys(name for row in table for name in row))
        found = {name: [row.get(name) for row in table] for name in names}
    else:
        raise TypeError(
            f"a table is a dict of arrays, a list of dicts, a data frame, an Arrow table or a path, not {type(table).__name__}"
        )
    found = {name: plain(values) for name, values in found.items()}
    wrong = [name for name in found if not isinstance(name, str)]
    if wrong:
        raise ValueError(f"the name of a column is text, not {wrong[0]!r}")
    lengths = {len(values) for values in found.values()}
    if len(lengths) > 1:
        told = ", ".join(f"{name} {len(values)}" for name, values in found.items())
        raise ValueError(f"columns of different lengths: {told}")
    return found


def plain(values) -> list:
    """A column as a list of numbers and words of Python."""
    for method in ("to_list", "tolist", "to_pylist"):
        if hasattr(values, method):
            values = getattr(values, method)()
            break
    if isinstance(values, (str, bytes)) or not hasattr(values, "__iter__"):
        raise ValueError(f"a column is an array of values, not {values!r}")
    return [cell(value) for value in values]


def cell(value):
    """A value as JSON has it; missing ones are nothing."""
    value = value.item() if hasattr(value, "item") else value
    if value is None or isinstance(value, (bool, int, str)):
        return value
    try:
        number = float(value)
    except (TypeError, ValueError):
        return str(value)
    # Not-a-number is a missing value in data frames; an infinity is a loss that diverged, which the program refuses by name.
    return None if math.isnan(number) else number if math.isfinite(number) else str(number)


def write(table, path: str) -> None:
    """Writes a table as JSON Lines: floats to the last bit."""
    found = columns(table)
    if not found:
        raise ValueError("the table has no columns")
    with open(path, "w", encoding="utf-8") as out:
        for row in zip(*found.values()):
            out.write(json.dumps(dict(zip(found, row)), ensure_ascii=False) + "\n")


def is_path(table) -> bool:
    return isinstance(table, (str, os.PathLike))
