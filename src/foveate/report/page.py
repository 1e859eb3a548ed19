"""One self-contained page on a run: data, training, metrics, cases, activation maps and recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from foveate.core.files import write_file
from foveate.core.types import Case
from foveate.metrics.counts import Counts
from foveate.metrics.summary import estimates
from foveate.report import gallery, sections, tables
from foveate.report.curves import Record
from foveate.report.embed import Shot
from foveate.report.found import warnings
from foveate.report.table import Table

ROOM = Path(__file__).parent
CONTENTS = {
    "data": "Data",
    "training": "Training",
    "where": "Where: pixels",
    "what": "What: answers",
    "tables": "Comparisons",
    "cases": "Cases",
    "maps": "Activation maps",
    "recipe": "Recipe",
}

OF_STUDIES = ("data", "tables", "cases", "maps")
"""Parts of a page that shows tables and no run of its own."""


def page(
    folder: str | Path,
    *,
    title: str,
    run: Mapping[str, Any] | None = None,
    log: Sequence[Record] = (),
    counts: Counts | None = None,
    cases: Sequence[Case] = (),
    data_summary: Mapping[str, Any] | None = None,
    tables: Sequence[Table] = (),
    figures: Mapping[str, Sequence[Shot]] | None = None,
    warned: Sequence[str] = (),
    plan: Sequence[tuple[str, str, str, str]] = (),
    absent: str = "one",
    repeats: int = 1000,
    each: int = 3,
    when: datetime | None = None,
) -> Path:
    """Write ``report.html``: no other file, no script, no network; readable on screen, in dark mode and on paper.

    The page names each missing part, in its place and at the top.

    Args:
        folder: of the page; made if it is not there.
        title: of the page.
        run: the record of the run (``recipe.json``): name, keywords, text, seed, manifest, versions, git.
        log: records of ``log.jsonl``, all stages after one another.
        counts: of the evaluated images.
        cases: to choose the shown ones from by `Case.score`; their `Prediction.cam` gives the activation maps.
        data_summary: `rows.describe`, or numbers and tables (row -> column -> number) by name.
        tables: more tables, such as `study.comparison`.
        figures: title of such a table -> pictures below it.
        warned: lines of the box at the top, beside the labels and answers of ``counts`` that the network never gives.
        plan: of a recipe that reads the data: name, value, reason and measurement of each decision.
        absent: what an image free of a label scores: a name of ``metrics.segmentation.ABSENT``.
        repeats: bootstrap draws.
        each: how many best, median and worst cases.
        when: date on the page; None = now.

    Returns:
        the path of the page.

    Raises:
        ValueError: there is no such policy.
    """
    values = _values(
        title=title, run=run or {}, log=log, counts=counts, cases=cases, summary=data_summary or {}, more=tables,
        absent=absent, repeats=repeats, each=each,
    )  # fmt: skip
    values["figures"] = figures or {}
    values["warned"] = [*(warnings({"": counts}) if counts is not None else []), *warned]
    values["plan"] = sections.plan(plan)
    values["when"] = (when or datetime.now(UTC)).strftime("%Y-%m-%d %H:%M %Z").strip()
    values["lead"] = f"{values['lead']}Written {values['when']}."
    maker = Environment(loader=FileSystemLoader(ROOM), autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    text = maker.get_template("page.html.j2").render(values)
    path = Path(folder) / "report.html"
    write_file(path, text)
    return path


def _values(
    *,
    title: str,
    run: Mapping[str, Any],
    log: Sequence[Record],
    counts: Counts | None,
    cases: Sequence[Case],
    summary: Mapping[str, Any],
    more: Sequence[Table],
    absent: str,
    repeats: int,
    each: int,
) -> dict[str, Any]:
    """Values of the template."""
    evaluated = counts if counts is not None and len(counts) else None
    masks = evaluated is not None and any(len(part.image) for part in evaluated.labels.values())
    answers = evaluated is not None and any(len(part.truth) for part in evaluated.questions.values())
    no_masks = _why(counts, has=bool(counts and counts.schema.labels), what="pixel labels")
    no_answers = _why(counts, has=bool(counts and counts.schema.questions), what="questions")
    study = bool(more) and not run and counts is None
    case_words, groups = gallery.groups(cases, each=each) if cases else ("", [])
    found = gallery.maps(cases, most=each)
    absences = {
        "Training curves: no log was given.": not log,
        f"Metrics of masks. {no_masks}": not masks,
        f"Metrics of answers. {no_answers}": not answers,
        "Cases: none were given.": not cases,
        "Activation maps: no case has one.": bool(cases) and not found,
        "Data summary: none was given.": not summary,
        "Record of the run: none was given.": not run,
    }
    return {
        "title": title,
        "lead": _lead(run, counts),
        "style": Markup((ROOM / "page.css").read_text(encoding="utf-8")),
        "study": study,
        "contents": [
            (key, words) for key, words in CONTENTS.items() if (key in OF_STUDIES if study else key != "tables" or more)
        ],
        "facts": sections.facts(run),
        "key_metrics": sections.tiles(
            evaluated, estimates=estimates(evaluated, absent=absent, repeats=repeats), absent=absent
        )
        if evaluated
        else [],
        "key_note": _key_note(evaluated, absent=absent, repeats=repeats) if evaluated else "",
        "absent": [] if study else [line for line, true in absences.items() if true],
        "data": sections.data(summary),
        "stages": sections.training(log),
        "segmentation": tables.segmentation(evaluated, absent=absent, repeats=repeats) if evaluated and masks else None,
        "no_segmentation": no_masks,
        "grading": tables.grading(evaluated, repeats=repeats) if evaluated and answers else None,
        "no_grading": no_answers,
        "questions": sections.questions(evaluated, repeats=repeats) if evaluated and answers else [],
        "tables": list(more),
        "case_words": case_words,
        "groups": groups,
        "colours": gallery.key(cases),
        "maps": found,
        "ramp": gallery.ramp(),
        "keywords": sections.mapping("Keywords that were set", run.get("keywords") or {}),
        "recipe_text": run.get("text") or "",
        "versions": sections.mapping("Versions", run.get("versions") or {}),
    }


def _why(counts: Counts | None, *, has: bool, what: str) -> str:
    if counts is None:
        return "The run was not evaluated."
    return f"The truth of the {what} is unknown in every image." if has else f"The schema has no {what}."


def _key_note(counts: Counts, *, absent: str, repeats: int) -> str:
    drawn = tables.said_of_draws(counts, (), repeats=repeats, level=0.95)
    return f"Means over labels, over images. {tables.said_of_absent(absent)} {drawn}" if counts.schema.labels else drawn


def _lead(run: Mapping[str, Any], counts: Counts | None) -> str:
    parts = []
    if run.get("name"):
        parts.append(f"Run of the recipe {run['name']}")
    if counts is not None:
        asked = [q.name for q in counts.schema.questions]
        about = [f"asked: {', '.join(asked)}"] * bool(asked) + [f"marked: {', '.join(counts.schema.labels)}"] * bool(
            counts.schema.labels
        )
        parts.append(
            f"evaluated on {len(counts)} images ({'; '.join(about)})" if about else f"evaluated on {len(counts)} images"
        )
    text = ", ".join(parts)
    return f"{text[:1].upper()}{text[1:]}. " if text else ""
