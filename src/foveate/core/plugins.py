"""List the files of a package with their first docstring line, without importing them."""

from __future__ import annotations

import ast
from importlib import import_module
from pathlib import Path
from types import ModuleType

PACKAGE = Path(__file__).parent.parent


def names(package: str) -> dict[str, str]:
    """Files of a package (``"recipes"``, ``"models/baselines"``) -> first line of their docstring, sorted."""
    found = {}
    for path in sorted((PACKAGE / package).glob("*.py")):
        if not path.stem.startswith("_"):
            doc = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
            found[path.stem] = doc.partition("\n")[0]
    return found


def has(package: str, name: str) -> bool:
    """Whether a package has a file of that name; reads no file."""
    return name.isidentifier() and not name.startswith("_") and (PACKAGE / package / f"{name}.py").is_file()


def load(package: str, name: str) -> ModuleType:
    """Import a file of a package by its name.

    Raises:
        ValueError: there is no such file; the message lists the files.
    """
    if not has(package, name):
        raise ValueError(f"{package}: the name must be one of {list(names(package))}, got {name!r}")
    return import_module(".".join(["foveate", *package.split("/"), name]))


def functions(package: str, *, first: tuple[str, ...], returns: str) -> dict[str, str]:
    """Public functions of a package's files with their first docstring line, without importing them.

    Args:
        package: ``"losses"``, ...
        first: names of the first arguments.
        returns: annotation of the value, as Python prints it.

    >>> found = functions("losses", first=("outputs", "batch"), returns="Float[Tensor, '']")
    >>> found["jaccard"].split()[0]
    'Soft'
    """
    found = {}
    for file in names(package):
        for node in ast.parse((PACKAGE / package / f"{file}.py").read_text(encoding="utf-8")).body:
            if not isinstance(node, ast.FunctionDef) or node.name.startswith("_") or node.returns is None:
                continue
            arguments = tuple(one.arg for one in node.args.args[: len(first)])
            if arguments == first and ast.unparse(node.returns) == returns:
                found[node.name] = (ast.get_docstring(node) or "").partition("\n")[0]
    return found


def losses() -> dict[str, str]:
    """The loss functions, one equation each -> first line of their documentation."""
    return functions("losses", first=("outputs", "batch"), returns="Float[Tensor, '']")
