"""Make a results page from its plan: train what is missing, compare over seeds and patients, write Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from foveate.core.files import write_file
from foveate.data.cache import Cache
from foveate.data.manifest import Manifest
from foveate.metrics.counts import Counts
from foveate.metrics.interval import Estimate, interval
from foveate.metrics.listing import full
from foveate.metrics.measure import measure
from foveate.metrics.seeds import seed_difference
from foveate.reporting.results_plan import ENOUGH, PlannedQuestion, PlannedStudy, ResultsPlan, read_plan
from foveate.reporting.results_stamp import marked, run_digest, stamp
from foveate.studies import load_study, pooled, run_study, study_record

Made = Mapping[str, Mapping[int, Path]]
"""Key of a study -> seed -> its folder."""


def make_page(
    plan: Path,
    *,
    work: Path,
    page: Path | None = None,
    train: bool = True,
    device: str = "auto",
    workers: int = 1,
    cache: Cache | None = None,
    quiet: bool = False,
    say: Callable[[str], None] = print,
) -> Path:
    """Write the page of a plan; returns its path. Started again it goes on where it stopped.

    Args:
        plan: a .toml file (`ResultsPlan`).
        work: folder with the manifests; the studies are written to ``STUDY/seedN`` in it.
        page: Markdown file to write; None = beside the plan, with its name.
        train: train what is missing; False = take the seeds that are done and mark what is not.
        device, workers, cache, quiet, `say`: as of `run_study`.

    Raises:
        ValueError: the plan or a manifest is wrong, or nothing is trained and ``train`` is False.
    """
    asked = read_plan(plan)
    folders: dict[str, dict[int, Path]] = {}
    for key, one in asked.studies.items():
        folders[key] = {seed: work / key / f"seed{seed}" for seed in one.seeds}
        if train:
            rows = Manifest.read(work / one.manifest)
            for seed, folder in folders[key].items():
                say(f"{key}, seed {seed}")
                run_study(
                    load_study(one.study, rows.schema, **one.set),
                    rows,
                    out=folder,
                    tables=one.tables or None,
                    only=one.rows or None,
                    device=device,
                    seed=seed,
                    workers=workers,
                    cache=cache,
                    quiet=quiet,
                    say=say,
                )
        folders[key] = {seed: folder for seed, folder in folders[key].items() if (folder / "study.json").is_file()}
        if not folders[key]:
            raise ValueError(f"{work / key}: no seed of study {key!r} is trained; leave out --no-train")
    out = page or plan.with_suffix(".md")
    runs = {f"{key}/seed{seed}/{run.name}/{part.name}": run_digest(part) for key, seeds in folders.items()
            for seed, folder in seeds.items() for run in sorted((folder / "runs").iterdir())
            for part in sorted(run.iterdir()) if part.is_dir()}  # fmt: skip
    made = stamp(plan, runs)
    write_file(out, marked(made) + "\n".join(_text(asked, folders, commit=made["commit"], processor=made["processor"])))
    return out


def answer(question: PlannedQuestion, seeds: Mapping[int, Path]) -> tuple[str, Estimate, int]:
    """Answer a question: yes, no, or undecided, the paired difference, and the number of seeds it rests on."""
    a, b = (_counts(seeds, question.table, row) for row in (question.row, question.minus))
    both = [seed for seed in a if seed in b]
    if not both:
        raise ValueError(f"{question.ask}: no seed has both {question.row!r} and {question.minus!r}")
    schema = a[both[0]].schema
    name = full(question.metric, labels=schema.labels, questions=[q.name for q in schema.questions])
    policy = study_record(next(iter(seeds.values())))["tables"][question.table]["absent"]
    statistic = partial(measure, names=[name], absent=policy)
    gap = seed_difference(statistic, [a[s] for s in both], [b[s] for s in both])[name]
    return decided(gap, margin=question.margin), gap, len(both)


def decided(gap: Estimate, *, margin: float = 0.0) -> str:
    """Yes if the whole interval is above the margin, no if it is below, else undecided.

    >>> decided(Estimate(0.03, 0.01, 0.05, 100, 50)), decided(Estimate(0.03, -0.01, 0.05, 100, 50))
    ('yes', 'this data cannot decide')
    """
    if gap.low > margin:
        return "yes"
    return "no" if gap.high <= margin else "this data cannot decide"


def _counts(seeds: Mapping[int, Path], table: str, row: str) -> dict[int, Counts]:
    out = {}
    for seed, folder in seeds.items():
        record = study_record(folder)
        if table not in record["tables"]:
            raise ValueError(f"{folder}: table must be one of {list(record['tables'])}, got {table!r}")
        if row in record["tables"][table]["rows"]:
            out[seed] = pooled(folder, record["tables"][table]["rows"][row], record["folds"])
    return out


def _text(plan: ResultsPlan, made: Made, *, commit: str | None, processor: str) -> Iterator[str]:
    yield f"# {plan.title}\n"
    if plan.text:
        yield f"{plan.text}\n"
    if plan.questions:
        yield "## In short\n"
        for question in plan.questions:
            verdict, gap, seeds = answer(question, made[question.of])
            few = f"; only {seeds} seed{'s' * (seeds > 1)}" if seeds < ENOUGH else ""
            margin = f", at least {question.margin:g}" if question.margin else ""
            yield (
                f"- {question.ask} **{verdict[0].upper()}{verdict[1:]}.** {question.row} minus {question.minus}, "
                f"{question.metric}{margin}: {gap.value:+.3f} ({gap.low:+.3f} to {gap.high:+.3f}), {seeds} seeds, "
                f"{gap.groups} patients{few}."
            )
        yield "\nDifferences are paired by seed and patient. Both are drawn again 1000 times (95 % intervals).\n"
    for key, one in plan.studies.items():
        yield from _study(key, one, made[key])
    yield "## Origin\n"
    yield f"Commit {commit or 'unknown'}, processor {processor}. The hash of every run is in the first line.\n"


def _study(key: str, one: PlannedStudy, seeds: Mapping[int, Path]) -> Iterator[str]:
    yield f"## {key}\n"
    if one.about:
        yield f"{one.about}\n"
    if one.commands:
        yield "```console\n" + "\n".join(one.commands) + "\n```\n"
    missing = [seed for seed in one.seeds if seed not in seeds]
    if missing:
        yield f"Seeds that are not trained yet: {', '.join(map(str, missing))}.\n"
    record = study_record(next(iter(seeds.values())))
    for title, table in record["tables"].items():
        yield f"### {title}\n"
        metrics = [name for name in table["metrics"] if "*" not in name]
        yield "| row | seeds | " + " | ".join(metrics) + " |"
        yield "|---|---|" + "---|" * len(metrics)
        for row in table["rows"]:
            yield _line(row, _counts(seeds, title, row), metrics, absent=table["absent"])
        yield ""


def _line(row: str, counts: Mapping[int, Counts], metrics: list[str], *, absent: str) -> str:
    """Mean over seeds, with the range of the seeds; a row with fewer than three is marked."""
    found = [measure_once(one, metrics, absent=absent) for one in counts.values()]
    cells = []
    for name in metrics:
        values = [one[name] for one in found if name in one and one[name] == one[name]]
        if not values:
            cells.append("-")
            continue
        mean = sum(values) / len(values)
        spread = f" ({min(values):.3f} to {max(values):.3f})" if len(values) > 1 else ""
        cells.append(f"{mean:.3f}{spread}")
    few = "" if len(found) >= ENOUGH else " (few)"
    return f"| {row} | {len(found)}{few} | " + " | ".join(cells) + " |"


def measure_once(counts: Counts, metrics: list[str], *, absent: str) -> dict[str, float]:
    """Metrics of all images of one run, those that the run has."""
    schema = counts.schema
    names = {}
    for name in metrics:
        try:
            names[name] = full(name, labels=schema.labels, questions=[q.name for q in schema.questions])
        except ValueError:
            continue
    values = interval(partial(measure, names=list(names.values()), absent=absent), counts, repeats=1)
    return {name: values[long].value for name, long in names.items() if long in values}
