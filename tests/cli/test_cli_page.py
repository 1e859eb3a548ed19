"""``docs/reference/cli.md`` lists every command, argument and option, as the code of the commands does.

After a change to the command line: ``python tests/cli/test_cli_page.py --renew``.
"""

import inspect
import re
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
import typer
from typer.models import OptionInfo
from typer.testing import CliRunner

import foveate
from foveate.cli.main import app

PAGE = Path(__file__).parent.parent.parent / "docs" / "reference" / "cli.md"
HEAD = """# The command line

Each command calls one function of the library ([table](api/index.md)). A usual day:

```console
foveate scan dataset.toml FOLDER -o M.jsonl
foveate check M.jsonl
foveate split M.jsonl --folds 5
foveate fit image_quality M.jsonl -o runs/first --fold 0 --set size=256
foveate evaluate runs/first M.jsonl --fold 0
foveate report runs/first
foveate predict runs/first new_images/ -o out
```

Exit codes: 0: all is well; 1: `check` found a leak or an unreadable file, or `predict` could not read an image;
2: a value or a file is wrong, reported in one line; 130: interrupted.
"""


@dataclass(frozen=True)
class Parameter:
    """An argument or option of a verb, as its function states it."""

    name: str
    info: Any
    kind: Any
    default: Any

    @property
    def option(self) -> bool:
        return isinstance(self.info, OptionInfo)

    @property
    def spelled(self) -> tuple[str, ...]:
        if not self.option:
            return ()
        given = [name for name in (self.info.default, *(self.info.param_decls or ())) if isinstance(name, str)]
        return tuple(name for both in given for name in both.split("/")) or (f"--{self.name}",)

    @property
    def value(self) -> str:
        """The placeholder of an option's value."""
        kinds = {int: "NUMBER", float: "NUMBER", str: "TEXT", Path: "PATH"}
        return str(self.info.metavar or next((word for k, word in kinds.items() if k in parts(self.kind)), ""))

    @property
    def written(self) -> str:
        """The parameter as it appears on the command line."""
        if not self.option:
            return str(self.info.metavar or self.name.upper())
        names = ", ".join(f"`{name}`" for name in self.spelled)
        return names if bool in parts(self.kind) else f"{names} {self.value}"

    @property
    def otherwise(self) -> str:
        """Its default."""
        if self.default is inspect.Parameter.empty:
            return "needed"
        return "" if self.default is None or self.default is False else f"`{self.default}`"


def parts(kind: Any) -> set[Any]:
    """Types that an annotation is made of."""
    inside = get_args(kind)
    return set().union(*map(parts, inside)) if inside else {kind}


def verbs() -> dict[str, Callable[..., None]]:
    """Verb -> its function."""
    groups = [("", app), *((f"{g.name} ", g.typer_instance) for g in app.registered_groups if g.typer_instance)]
    named = [(prefix, info) for prefix, group in groups for info in group.registered_commands]
    found = {prefix + (i.name or i.callback.__name__): i.callback for prefix, i in named if i.callback}
    assert len(found) == len(named)
    return found


def parameters(verb: str) -> list[Parameter]:
    function = verbs()[verb]
    hints = get_type_hints(function, include_extras=True)
    defaults = inspect.signature(function).parameters
    found = []
    for name in defaults:
        kind, info = get_args(hints[name])[:2]
        found.append(Parameter(name, info, kind, defaults[name].default))
    return found


def section(verb: str) -> str:
    """One verb: usage, what it does, and a line an argument or option."""
    mine = parameters(verb)
    arguments = [p.written if p.otherwise == "needed" else f"[{p.written}]" for p in mine if not p.option]
    needed = [f"{p.spelled[-1]} {p.value}" for p in mine if p.option and p.otherwise == "needed"]
    lines = [
        f"## foveate {verb}",
        "",
        f"`{' '.join(['foveate', verb, *arguments, *needed])}`",
        "",
        inspect.getdoc(verbs()[verb]) or "",
        "",
        "| | default | |",
        "|---|---|---|",
    ]
    return "\n".join([*lines, *(f"| {p.written} | {p.otherwise} | {p.info.help} |" for p in mine), ""])


def page() -> str:
    return "\n".join([HEAD, *map(section, verbs())])


RENEW = "renew the page: python tests/cli/test_cli_page.py --renew"


@pytest.mark.parametrize("verb", verbs())
def test_every_option_says_what_it_is_for(verb: str) -> None:
    assert inspect.getdoc(verbs()[verb])
    assert not [p.name for p in parameters(verb) if not p.info.help]


@pytest.mark.parametrize("verb", verbs())
def test_every_verb_and_option_is_on_the_page(verb: str) -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert f"\n## foveate {verb}\n" in text, RENEW
    mine = text.partition(f"\n## foveate {verb}\n")[2].partition("\n## ")[0]
    told = CliRunner().invoke(app, [*verb.split(), "--help"], terminal_width=200).output
    for parameter in parameters(verb):
        assert f"| {parameter.written} |" in mine, RENEW
        assert all(name in told for name in parameter.spelled)
    options = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", told)) - {"--help"}
    assert options == {name for p in parameters(verb) for name in p.spelled if name.startswith("--")}


EXAMPLE = re.compile(r"^Example: `foveate ([^`]+)`\s", re.MULTILINE)


def examples(verb: str) -> list[list[str]]:
    """Words of the command lines that a command's help gives as examples."""
    return [shlex.split(line) for line in EXAMPLE.findall(inspect.getdoc(verbs()[verb]) or "")]


@pytest.mark.parametrize("verb", verbs())
def test_help_has_two_examples_that_can_be_parsed(verb: str) -> None:
    found = examples(verb)
    assert len(found) >= 2, f"foveate {verb} needs two lines: Example: `foveate ...` does"
    for words in found:
        command, names = typer.main.get_command(app), verb.split()
        assert words[: len(names)] == names
        for name in names:
            command = command.commands[name]  # type: ignore[attr-defined]
        command.make_context(verb, words[len(names) :])  # raises on an option that does not exist


def test_version() -> None:
    assert CliRunner().invoke(app, ["--version"]).output == f"foveate {foveate.__version__}\n"


def test_the_page_is_of_this_day() -> None:
    """Nor does it list what is gone."""
    assert PAGE.read_text(encoding="utf-8") == page(), RENEW


if __name__ == "__main__":
    if sys.argv[1:] != ["--renew"]:
        sys.exit(__doc__)
    PAGE.write_text(page(), encoding="utf-8")
