"""Simulated annotators with known errors: does training on their consensus equal training on the masks?

    python benchmarks/simulated_annotators.py M.jsonl -o DIR [--set k=v ...] [--folds N] [--miss 0.1 ...]

Makes an annotation project of a manifest with masks and disc positions, serves it on this machine, and lets three
simulated annotators work through HTTP alone: accounts by invite, login, claim, save, done. Each names the regions that
contain the finding, with errors that follow from seed, annotator and image:

  --miss    the finding is not seen: so often on average, twice so for the smallest lesion area, never for the largest
  --false   a random region is named in an image without the finding
  --drop    a region that contains the finding is left out (the one that contains most of it stays if none is left)
  --add     a neighbouring region is named too

Present if at least two saw it, absent if none did, else an adjudicator decides: ``truth`` as the masks,
``majority`` as most annotators, ``none`` leaves it unknown; the regions are all that were named. ``consensus.jsonl`` is
the project's export, ``annotators.json`` the annotators' performance (the pace is that of the last call).

Then region_guided trains on the masks' regions and on the annotators', with and without guidance, on the same folds.
All are evaluated on the masks of the test images: ``comparison.md``. Called again it goes on; ``--folds 0`` only reads.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from foveate import Manifest, evaluate, fit
from foveate.annotate.exchange.export_marks import export
from foveate.annotate.store.new_project import new_project
from foveate.annotate.store.project import Project
from foveate.cli.options import keywords
from foveate.core.regions import NAMES, Regions, located
from foveate.data import read
from foveate.data.agreement import cohen
from foveate.data.split import split
from foveate.engine.recipe import Recipe
from foveate.engine.study import run_name
from foveate.metrics.interval import value
from foveate.metrics.measure import measure
from foveate.report.study import comparison
from foveate.report.table import Table
from foveate.studies import pooled
from foveate.studies._rows import row_recipe

SERVE = (sys.executable, "-u", "-m", "foveate", "annotate", "serve")
PASSWORD = "of a simulated person"
ANNOTATORS = 3
ADJUDICATORS = ("truth", "majority", "none")
SETTINGS = ["size=128", "width=8", "pyramid=32", "batch=8", "lr=0.003", "epochs=20", "patience=8"]
"""Keywords of region_guided that a CPU trains in bearable time."""

PROTOCOL = """# Son et al. 2018 with one finding; what one annotator alone saw is {undecided}.
name = "{label}"
annotators = {annotators}
order = "random"

[[findings]]
name = "{label}"
question = "{question}"
marks = ["regions"]

[consensus]
at_least = 2
marks = "union"
undecided = "{undecided}"
"""


@dataclass(frozen=True)
class Noise:
    """Rates of the annotators' errors; probabilities as the arguments of this command."""

    miss: float = 0.10
    false: float = 0.05
    drop: float = 0.10
    add: float = 0.10
    seed: int = 0

    def __post_init__(self) -> None:
        for name, most in (("miss", 0.5), ("false", 1.0), ("drop", 1.0), ("add", 1.0)):
            if not 0 <= getattr(self, name) <= most:
                raise ValueError(f"{name}={getattr(self, name)}; give a probability from 0 to {most}")


@dataclass(frozen=True)
class Truth:
    """Ground truth of an image: where the finding is, what else is there, and how large it is."""

    holding: Mapping[str, int]  # region -> pixels of the finding; empty = it is not there
    beside: Mapping[str, tuple[str, ...]]  # region in view -> regions that touch it
    rank: float  # of the marked area among the images with the finding, 0 (least) to 1


def truths(rows: Manifest) -> dict[str, Truth]:
    """Image -> truth, of a manifest with one finding; ValueError if disc, answer or mask are missing."""
    question, label = rows.schema.questions[0].name, rows.schema.labels[0]
    held, beside, wrong = {}, {}, []
    for row in rows:
        shape = read.size(rows.root / row.image, frame=row.frame)
        regions = located(shape=shape, disc=row.disc, fovea=row.fovea, laterality=row.laterality)
        if regions is None:
            raise ValueError(f"image {row.id!r} has no disc position, so its regions are not known; give it one")
        masks, _ = read.masks(row, rows.root, rows.schema, shape=shape)
        counts = np.bincount(regions.index(*np.nonzero(masks[0])), minlength=len(NAMES))
        held[row.id] = {name: int(n) for name, n in zip(NAMES, counts, strict=True) if n}
        beside[row.id] = touching(regions, shape)
        wrong += [row.id] if row.answers.get(question) != ("yes" if held[row.id] else "no") else []
    if wrong:
        raise ValueError(f"{question}: answer and mask of {label!r} differ in {len(wrong)} images, like {wrong[0]!r}")
    order = sorted((i for i in held if held[i]), key=lambda i: sum(held[i].values()))
    rank = {image: place / max(1, len(order) - 1) for place, image in enumerate(order)}
    return {image: Truth(held[image], beside[image], rank.get(image, 0.0)) for image in held}


def touching(regions: Regions, shape: tuple[int, int], *, steps: int = 200) -> dict[str, tuple[str, ...]]:
    """Region in view -> the regions that it touches, on a grid of so many points each way."""
    rows, cols = (np.linspace(0, side - 1, steps) for side in shape)
    here = regions.index(*np.broadcast_arrays(rows[:, None], cols[None]))
    near = np.zeros((len(NAMES), len(NAMES)), bool)
    near[here[1:], here[:-1]] = near[here[:, 1:], here[:, :-1]] = True
    near = (near | near.T) & ~np.eye(len(NAMES), dtype=bool)
    return {NAMES[a]: tuple(NAMES[b] for b in np.flatnonzero(near[a])) for a in np.unique(here).tolist()}


def reading(truth: Truth, noise: Noise, *, annotator: int, image: str) -> tuple[str, ...]:
    """Regions that an annotator names; none = the finding is not there."""
    rng = np.random.default_rng([noise.seed, annotator, *image.encode()])
    if not truth.holding:
        return (str(rng.choice(list(truth.beside))),) if rng.random() < noise.false else ()
    if rng.random() < 2 * noise.miss * (1 - truth.rank):
        return ()
    named = [name for name in truth.holding if rng.random() >= noise.drop]
    named = named or [max(truth.holding, key=lambda name: truth.holding[name])]
    near = sorted({one for name in truth.holding for one in truth.beside.get(name, ())} - set(truth.holding))
    if near and rng.random() < noise.add:
        named.append(str(rng.choice(near)))
    return tuple(named)


class Person:
    """Someone logged in, whose account an invite's secret makes where it is not there yet (None = it is)."""

    def __init__(self, url: str, name: str, invite: str | None = None) -> None:
        self.name = name
        self.client = httpx.Client(base_url=url, timeout=60)
        account = {"name": name, "password": PASSWORD}
        if invite is not None:
            self.send("POST", "/api/invites/accept", account | {"token": invite})
        self.client.headers["x-csrf-token"] = self.send("POST", "/api/login", account)["csrf"]

    def send(self, method: str, path: str, body: Any = None) -> Any:
        """Return the answer of an address; RuntimeError if it refuses."""
        answer = self.client.request(method, path, json=body)
        if answer.is_error:
            raise RuntimeError(f"{self.name}: {method} {path} was answered {answer.status_code}: {answer.text}")
        return answer.json()

    def save(self, path: str, version: int, marks: Mapping[str, Any], *, done: bool, seconds: float) -> int:
        """Save marks; the new version."""
        key = f"{self.name}-{path.split('/')[3]}-{version}".replace(" ", "-")
        body = {"version": version, "save": key, "state": "done" if done else "open", "seconds": seconds}
        return int(self.send("PUT", path, body | {"marks": marks})["version"])


@contextmanager
def served(project: Path) -> Iterator[tuple[str, str | None]]:
    """Address of the project's server, and the first coordinator's invite where there is no account yet."""
    with subprocess.Popen([*SERVE, str(project), "--port", "0"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            words = process.stdout.readline().split()
            if not words:
                raise RuntimeError(f"{project}: its server did not start")
            known = httpx.get(f"{words[-1]}/api/session", timeout=60).json()["accounts"]
            yield words[-1], None if known else process.stdout.readline().strip().rpartition("#")[2]
        finally:
            process.terminate()


def shapes(label: str, regions: Collection[str]) -> list[dict[str, Any]]:
    """Regions as marks."""
    return [{"id": "r", "label": label, "kind": "regions", "regions": list(regions)}] if regions else []


def work(person: Person, number: int, truth_of: Mapping[str, Truth], noise: Noise, label: str) -> int:
    """One annotator's work, saving after every region as a page does; returns the saves."""
    saves = 0
    while (item := person.send("POST", "/api/work/next")["item"]) is not None:
        begun, page = time.perf_counter(), person.send("GET", f"/api/items/{item}")
        named = reading(truth_of[page["id"]], noise, annotator=number, image=page["id"])
        version, path = page["marks"]["version"], f"/api/items/{item}/marks"
        steps = [named[: i + 1] for i in range(len(named))] + [named]
        for step, regions in enumerate(steps, 1):
            now, marks = time.perf_counter(), {"shapes": shapes(label, regions)}
            version = person.save(path, version, marks, done=step == len(steps), seconds=now - begun)
            begun = now
        saves += len(steps)
    return saves


def adjudicate(person: Person, truth_of: Mapping[str, Truth], how: str, label: str) -> None:
    """Settle every image that the rule leaves open, with the regions that its annotators named."""
    for one in person.send("GET", "/api/consensus?state=disputed")["items"]:
        page = person.send("GET", path := f"/api/items/{one['item']}/consensus")
        given = [s["regions"] for r in page["annotations"] for s in r["marks"]["shapes"]]
        seen = bool(truth_of[page["id"]].holding) if how == "truth" else 2 * len(given) > len(page["annotations"])
        regions = sorted({name for some in given for name in some}) if seen else []
        marks = {"findings": {label: "present" if seen else "absent"}, "shapes": shapes(label, regions)}
        person.save(path, page["consensus"]["version"], marks, done=True, seconds=0.0)


def annotate_project(project: Path, truth_of: Mapping[str, Truth], noise: Noise, *, how: str, label: str) -> Any:
    """Everybody's work, until every image is settled: saves, seconds, Fleiss' kappa, images adjudicated."""
    with served(project) as (url, invite), ExitStack() as stack:
        chief = Person(url, "coordinator", invite)
        stack.callback(chief.client.close)
        there = {user["name"] for user in chief.send("GET", "/api/users")["users"]}

        def join(name: str, role: str) -> Person:
            link = None if name in there else chief.send("POST", "/api/invites", {"roles": [role], "name": name})
            one = Person(url, name, None if link is None else link["path"].partition("#")[2])
            stack.callback(one.client.close)
            return one

        people = [join(f"annotator {n}", "annotator") for n in range(1, ANNOTATORS + 1)]
        judge = join("adjudicator", "adjudicator")
        begun = time.perf_counter()
        with ThreadPoolExecutor(ANNOTATORS) as pool:
            days = [pool.submit(work, one, n, truth_of, noise, label) for n, one in enumerate(people, 1)]
            saves = sum(day.result() for day in days)
        seconds = time.perf_counter() - begun
        adjudicate(judge, truth_of, how, label)
        found = judge.send("GET", "/api/consensus")
        kappa = [one["kappa"] for one in judge.send("GET", "/api/agreement")["findings"] if one["all"]]
    if found["counts"]["settled"] != len(truth_of):
        raise RuntimeError(f"{found['counts']} of {len(truth_of)} images: not all are settled")
    measured = {"saves": saves, "seconds": seconds, "saves_per_second": saves / seconds}
    return measured | {"fleiss_kappa": kappa[0], "adjudicated": sum(bool(one["disputes"]) for one in found["items"])}


def against(said: Mapping[str, str | None], named: Mapping[str, Collection[str]], truth_of: Mapping[str, Truth]) -> Any:
    """Answers (None = not known) and regions, compared with the masks; regions are pooled over the images."""
    known = [image for image in truth_of if said.get(image) is not None]
    there = np.array([bool(truth_of[image].holding) for image in known], bool)
    seen = np.array([said[image] == "yes" for image in known], bool)
    right = sum(len(set(some) & set(truth_of[image].holding)) for image, some in named.items())
    kappa = cohen(there, seen)
    return {
        "kappa": None if np.isnan(kappa) else kappa,
        "sensitivity": share(int(seen[there].sum()), int(there.sum())),
        "specificity": share(int((~seen[~there]).sum()), int((~there).sum())),
        "region_precision": share(right, sum(map(len, named.values()))),
        "region_recall": share(right, sum(len(one.holding) for one in truth_of.values())),
        "unknown": len(truth_of) - len(known),
    }


def share(part: int, whole: int) -> float | None:
    """A share; None of nothing."""
    return part / whole if whole else None


def regions_of(rows: Manifest, annotator: str, label: str) -> dict[str, set[str]]:
    """Image -> regions that somebody named."""
    return {
        row.id: {n for cue in row.cues.get(label, ()) if cue.annotator == annotator for n in cue.regions}
        for row in rows
    }


def judged(out: Path, truth_of: Mapping[str, Truth], question: str, label: str) -> Any:
    """Evaluate each annotator and the consensus, from what the project exported."""
    agreed, each = Manifest.read(out / "consensus.jsonl"), Manifest.read(out / "consensus.annotators.jsonl")
    names = sorted({name for row in each for name in row.readings})
    given = {name: {row.id: row.readings.get(name, {}).get(question) for row in each} for name in names}
    answers = {row.id: row.answers.get(question) for row in agreed}
    people = {name: against(given[name], regions_of(each, name, label), truth_of) for name in names}
    return {"annotators": people, "consensus": against(answers, regions_of(agreed, "consensus", label), truth_of)}


def say(found: Mapping[str, Any]) -> None:
    """Print `annotators.json`."""
    said = (
        f"{found['images']} images, {found['with_finding']} with {found['finding']}; {found['adjudicated']} adjudicated"
    )
    print(f"{said} ({found['settings']['adjudicator']}); Fleiss' kappa {cell(found['fleiss_kappa'])}; ", end="")
    print(f"{found['saves']} saves in {found['seconds']:.1f} s, {found['saves_per_second']:.1f} a second")
    print(f"{'against the masks':<18}" + "".join(f"{name.replace('_', ' '):>18}" for name in found["consensus"]))
    for name, one in {**found["annotators"], "consensus": found["consensus"]}.items():
        print(f"{name:<18}" + "".join(f"{cell(number):>18}" for number in one.values()))


def cell(number: float | None) -> str:
    """A figure in three digits, a count as it is."""
    return "n/a" if number is None else f"{number:.3f}" if isinstance(number, float) else str(number)


def compare(original: Manifest, agreed: Manifest, out: Path, folds: int, settings: list[str], device: str) -> Table:
    """Train on the masks' regions and on the annotators', evaluate all on the masks."""
    question = original.schema.questions[0].name
    common = {**keywords([*SETTINGS, *settings]), "findings": [question]}
    jobs: dict[str, tuple[Manifest, Recipe, str]] = {}
    for how, guide in (("without", {"guide": 0.0}), ("with", {})):
        recipe = row_recipe("region_guided", original.schema, common, **guide)
        for row, rows in ((f"Masks, {how} guidance", original), (f"Annotators, {how} guidance", agreed)):
            jobs[row] = (rows, recipe, run_name(row, recipe))
    for fold in range(folds):
        for row, (rows, recipe, name) in jobs.items():
            begun, place = time.perf_counter(), out / "runs" / name / f"fold{fold}"
            run = fit(recipe, rows.fold(fold), out=place, device=device, resume=True, quiet=True)
            if not (place / "metrics.json").is_file():
                evaluate(run, original.fold(fold).where(split="test"), device=device, intervals=False)
            print(f"{row}, fold {fold}: {time.perf_counter() - begun:.0f} s", flush=True)
    counts = {row: pooled(out, name, [f"fold{fold}" for fold in range(folds)]) for row, (_, _, name) in jobs.items()}
    metrics = {"AUROC": f"image/auc/{question}", "AIR": f"map/air/{question}", "AIR, masks": f"map/air_mask/{question}"}
    title = f"region_guided on {question}: regions of the masks against regions of simulated annotators"
    table = comparison(title, counts, metrics, reference="Masks, with guidance")
    chance = value(measure, counts["Masks, with guidance"])[f"map/cue_share/{question}"]
    air = f"AIR: share of the activation in the regions that hold {question} by the masks; a map that ignores them has "
    masks = f"{chance:.3f}. AIR, masks: on the marked pixels. Every test image has its original answer and mask."
    return replace(table, note=(*table.note, air + masks))


def one_finding(rows: Manifest, name: str | None) -> Manifest:
    """The manifest with one finding and its label alone, and with folds."""
    there = {q.name: q for q in rows.schema.findings if len(q.evidence) == 1 and q.evidence[0] in rows.schema.labels}
    chosen = there.get(name or next(iter(there), ""))
    if chosen is None:
        raise ValueError(f"finding={name!r} must be one of {list(there)} (yes/no, one label as evidence)")
    kept = rows.select(questions=[chosen.name], labels=chosen.evidence)
    return kept if all(row.fold is not None for row in kept) else split(kept, folds=5)


def settle(out: Path, settings: Mapping[str, Any]) -> None:
    """Keep the settings of the readings; ValueError where the folder has others."""
    path = out / "settings.json"
    if not path.is_file():
        path.write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")
    before = json.loads(path.read_text(encoding="utf-8"))
    if other := [key for key in settings if before.get(key) != settings[key]]:
        raise ValueError(f"{out} holds readings with another {other[0]}; name another folder")


def main(words: Sequence[str] | None = None) -> int:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("manifest", type=Path)
    ask.add_argument("-o", "--out", type=Path, required=True)
    ask.add_argument("--finding", help="a yes/no question with one label as evidence; the first if not given")
    for name, default in asdict(Noise()).items():
        ask.add_argument(f"--{name}", type=type(default), default=default, help="rate of errors (%(default)s)")
    ask.add_argument("--adjudicator", choices=ADJUDICATORS, default="truth")
    ask.add_argument("-s", "--set", action="append", default=[], metavar="KEY=VALUE", help="of region_guided")
    ask.add_argument("--folds", type=int, help="how many of the folds to train; all if not given")
    ask.add_argument("--device", default="auto")
    args = ask.parse_args(words)
    out, noise = args.out, Noise(**{name: getattr(args, name) for name in asdict(Noise())})
    rows = one_finding(Manifest.read(args.manifest), args.finding)
    question, label, truth_of = rows.schema.questions[0].name, rows.schema.labels[0], truths(rows)
    out.mkdir(parents=True, exist_ok=True)
    settings = asdict(noise) | {"adjudicator": args.adjudicator, "manifest": rows.hash}
    settle(out, settings)
    original, project = rows.write(out / "original.jsonl"), out / "project"
    if not (out / "annotators.json").is_file():
        if not project.exists():
            undecided = "unknown" if args.adjudicator == "none" else "adjudicate"
            text = PROTOCOL.format(label=label, question=question, annotators=ANNOTATORS, undecided=undecided)
            (out / "protocol.toml").write_text(text, encoding="utf-8")
            new_project(original, protocol=out / "protocol.toml", out=project)[0].store.close()
        found = annotate_project(project, truth_of, noise, how=args.adjudicator, label=label)
        opened = Project.open(project)
        export(opened, out / "consensus.jsonl")
        opened.store.close()
        there = sum(bool(truth.holding) for truth in truth_of.values())
        about = {"finding": question, "images": len(truth_of), "with_finding": there, "settings": settings}
        found = about | found | judged(out, truth_of, question, label)
        (out / "annotators.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    say(json.loads((out / "annotators.json").read_text(encoding="utf-8")))
    agreed = Manifest.read(out / "consensus.jsonl")
    if {row.id: (row.group, row.fold) for row in agreed} != {row.id: (row.group, row.fold) for row in original}:
        raise RuntimeError(f"{out / 'consensus.jsonl'}: patients or folds are not those of {args.manifest}")
    most = 1 + max(row.fold or 0 for row in original)
    folds = most if args.folds is None else min(args.folds, most)
    if folds > 0:
        table = compare(original, agreed, out, folds, args.set, args.device)
        (out / "comparison.md").write_text(table.markdown(), encoding="utf-8")
        print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
