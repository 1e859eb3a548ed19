"""Tables of named numpy columns: check, join, compare, and CSV files that read back equal."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from foveate.core.files import whole_file

Table = Mapping[str, np.ndarray]
"""Column name -> one-dimensional array; all columns are equally long."""

Columns = Mapping[str, type]
"""Column name -> str, int or float, in file order."""

KINDS = {str: "U", int: "i", float: "f"}


def check(table: Table, columns: Columns, *, name: str) -> None:
    """Compare a table with its columns.

    Raises:
        ValueError: a column is missing or strange, has the wrong type, or columns differ in length.
    """
    if list(table) != list(columns):
        raise ValueError(f"{name} has the columns {list(table)}; give {list(columns)}")
    for column, kind in columns.items():
        if table[column].dtype.kind != KINDS[kind]:
            raise ValueError(f"{name}: column {column!r} is {table[column].dtype}; make it {kind.__name__}")
    if len({values.shape for values in table.values()}) > 1:
        raise ValueError(f"{name}: columns differ in length: { {c: v.shape for c, v in table.items()} }")


def extended(names: Iterable[str], columns: Columns) -> Columns:
    """The columns, and behind them those of the names that they lack, as numbers (float).

    >>> extended(["image", "hd95"], {"image": str})
    {'image': <class 'str'>, 'hd95': <class 'float'>}
    """
    return {**columns, **{name: float for name in names if name not in columns}}


def build(columns: Columns, values: Mapping[str, Sequence[object] | np.ndarray]) -> dict[str, np.ndarray]:
    """A table with the columns in order, each in its type (str, int64, float64)."""
    return {column: np.asarray(values[column], dtype=kind) for column, kind in columns.items()}


def rows(table: Table, index: np.ndarray) -> dict[str, np.ndarray]:
    """The rows at some positions, in that order."""
    return {column: values[index] for column, values in table.items()}


def stack(tables: Sequence[Table]) -> dict[str, np.ndarray]:
    """Tables below each other; at least one."""
    return {column: np.concatenate([table[column] for table in tables]) for column in tables[0]}


def equal(a: Table, b: Table) -> bool:
    """Whether two tables have the same columns and the same values in the same rows."""
    return list(a) == list(b) and all(
        np.array_equal(a[column], b[column], equal_nan=a[column].dtype.kind == "f") for column in a
    )


def write(files: Mapping[Path, Table]) -> None:
    """Write CSV files: all are written aside first and then moved into place, so nobody ever reads half a file."""
    with ExitStack() as stack:  # files are renamed when it ends, so after the last one is written
        for path, table in files.items():
            aside = stack.enter_context(whole_file(path))
            with aside.open("w", newline="", encoding="utf-8") as file:
                writer = csv.writer(file, lineterminator="\n")
                writer.writerow(table)
                # tolist gives Python floats, which csv writes by repr: the shortest digits that read back equal
                writer.writerows(zip(*(values.tolist() for values in table.values()), strict=True))


def read(path: Path, columns: Columns, *, more: bool = False) -> dict[str, np.ndarray]:
    """Inverse of `write` for one file.

    Args:
        path: of the file.
        columns: that it has.
        more: it may have further columns of numbers behind them.

    Raises:
        ValueError: the header differs from the columns, a row has too many or too few fields, or a field is not a
            number.
    """
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.reader(file)
        header = next(reader, [])
        columns = extended(header, columns) if more else columns
        if header != list(columns):
            raise ValueError(f"{path} has the columns {header}; it should have {list(columns)}: evaluate again")
        lines = list(reader)
    try:
        values = list(zip(*lines, strict=True)) or [()] * len(columns)
        kinds = zip(columns.items(), values, strict=True)
        return build(columns, {name: [kind(text) for text in texts] for (name, kind), texts in kinds})
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}): evaluate again") from error
