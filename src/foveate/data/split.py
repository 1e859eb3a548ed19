"""Split by patient, stratified; cross-validation folds; and what straddles a split."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from foveate.core.types import Row
from foveate.data.lines import SPLITS
from foveate.data.manifest import Manifest

PASSES = 20  # of refinement; the five sets of examples/ need 1 or 2, the last of which finds nothing
KINDS = 64  # of groups tried in an exchange; keeps a pass linear in the number of groups


@dataclass(frozen=True)
class Leak:
    """Images that belong together and are in different parts.

    Args:
        group: their common patient (or eye, volume), or the first id if they have only the same pixels.
        column: "split" or "fold".
        parts: the parts that contain them.
        ids: the images.
    """

    group: str
    column: str
    parts: tuple[str, ...]
    ids: tuple[str, ...]

    def __str__(self) -> str:
        images = f"{len(self.ids)} images ({', '.join(self.ids[:4])}{', ...' if len(self.ids) > 4 else ''})"
        return f"{self.group}: {images} in {self.column} {' and '.join(self.parts)}"


def split(
    manifest: Manifest, *, ratios: tuple[float, float, float] = (0.7, 0.1, 0.2), folds: int | None = None, seed: int = 0
) -> Manifest:
    """Give each row a split (train, val, test), or with ``folds`` a fold; a group never straddles.

    Groups are `Row.group` (patient, else eye, else volume, else image), joined where two hold the very same file
    (`Row.sha256`). Answers of all questions, masks given or absent for each label, and the source are spread as evenly
    as the groups allow (`stratify`). The result depends on the seed and the rows, not on their order.

    An official split is kept: rows of ``test`` and ``val`` that came with the manifest stay as they are, these parts
    get no further rows, and the others are divided among the remaining parts by their ratios. So a set with an official
    test split keeps it, and its train rows become train and val. Splitting again divides afresh what an earlier call
    divided (``info["split"]`` remembers). Folds take in all rows and leave the split as it is; to cross-validate inside
    an official train split, use ``manifest.where(split="train")``.

    Args:
        manifest: rows to divide.
        ratios: shares of the images for train, val, test; they sum to 1, and 0 leaves a part out.
        folds: number of equal folds, three or more; None divides by ratios.
        seed: settles ties.

    Returns:
        the manifest with the column filled; ``info["split"]`` or ``info["folds"]`` records how.

    Raises:
        ValueError: ratios do not sum to 1, fewer than three folds, or fewer groups than parts.
    """
    if folds is not None:
        if folds < 3:
            raise ValueError(f"folds={folds}: three are the least, so that one tests, one validates and the rest train")
        places = _divide(manifest.rows, [1 / folds] * folds, seed)
        rows = tuple(replace(row, fold=place) for row, place in zip(manifest.rows, places, strict=True))
        return _recorded(manifest, rows, "folds", {"folds": folds, "seed": seed})
    if len(ratios) != 3 or min(ratios) < 0 or abs(sum(ratios) - 1) > 1e-6:
        raise ValueError(
            f"ratios={ratios} for train, val, test must be three numbers from 0 that sum to 1, like (0.7, 0.1, 0.2)"
        )
    before = manifest.info.get("split")
    official = {row.split for row in manifest if row.split in ("val", "test")}
    kept = set(before["kept"]) if isinstance(before, dict) else official
    share = {part: ratio for part, ratio in zip(SPLITS, ratios, strict=True) if ratio > 0 and part not in kept}
    if not share:
        raise ValueError(
            f"ratios={ratios}: official {sorted(kept)} is kept, so nothing is left to fill; give train a share"
        )
    free = [row for row in manifest if row.split not in kept]
    total = sum(share.values())
    places = _divide(free, [ratio / total for ratio in share.values()], seed) if free else []
    parts = list(share)
    given = {row.id: parts[place] for row, place in zip(free, places, strict=True)}
    rows = tuple(replace(row, split=given.get(row.id, row.split)) for row in manifest)
    return _recorded(manifest, rows, "split", {"ratios": list(ratios), "seed": seed, "kept": sorted(kept)})


def leaks(manifest: Manifest, *, same: Iterable[Sequence[str]] = ()) -> list[Leak]:
    """Groups that are in more than one split, or in more than one fold.

    Args:
        manifest: its `Row.group`, `Row.sha256`, `Row.split` and `Row.fold` are read; None is not a part.
        same: further ids that show the same image (`check` finds them by their pixels).
    """
    found = []
    for members in groups(manifest.rows, same=same):
        for column in ("split", "fold"):
            parts = sorted({str(value) for row in members if (value := getattr(row, column)) is not None})
            if len(parts) > 1:
                names = sorted({row.group for row in members})
                found.append(Leak(" = ".join(names), column, tuple(parts), tuple(row.id for row in members)))
    return found


def groups(rows: Sequence[Row], *, same: Iterable[Sequence[str]] = ()) -> list[list[Row]]:
    """Rows that must stay together: of one group, or the same file, or the same image under several ids."""
    parent: dict[tuple[str, str], tuple[str, str]] = {}

    def top(key: tuple[str, str]) -> tuple[str, str]:
        parent.setdefault(key, key)
        while parent[key] != key:
            parent[key] = key = parent[parent[key]]
        return key

    def join(a: tuple[str, str], b: tuple[str, str]) -> None:
        first, second = sorted((top(a), top(b)))
        parent[second] = first

    for row in rows:
        join(("group", row.group), ("id", row.id))
        if row.sha256:
            join(("group", row.group), ("sha256", row.sha256))
    for ids in same:
        for other in ids[1:]:
            join(("id", ids[0]), ("id", other))
    members: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row.id):
        members[top(("group", row.group))].append(row)
    return [members[key] for key in sorted(members)]


def stratify(counts: Int[np.ndarray, "g s"], shares: Sequence[float], *, seed: int) -> Int[np.ndarray, " g"]:
    """Deal groups to parts so that each part has its share of every stratum.

    Iterative stratification (Sechidis, Tsoumakas, Vlahavas 2011) on groups: the stratum with the fewest images left is
    dealt first, its largest groups first. Each goes where it lowers chi-square ``sum (n - d)^2 / d`` most, n the images
    a part has of a stratum and d its share of them; then single moves and exchanges that lower it further are made.

    Args:
        counts: images of each stratum in each group; column 0 counts all its images.
        shares: of each part, all above 0, sum 1.
        seed: settles ties.

    Returns:
        the part of each group; none is left empty.

    Raises:
        ValueError: fewer groups than parts.
    """
    size, parts = len(counts), len(shares)
    if size < parts:
        raise ValueError(f"{size} groups cannot fill {parts} parts; give fewer parts, or check the patient column")
    rng = np.random.default_rng(seed)
    counts = counts[:, counts.sum(0) > 0].astype(float)
    want = np.outer(shares, counts.sum(0))
    have = np.zeros_like(want)
    place = np.full(size, -1)
    tie = rng.permutation(size)
    while (left := np.flatnonzero(place < 0)).size:
        todo = counts[left].sum(0)
        todo[0] = np.inf if np.any(todo[1:] > 0) else todo[0]
        stratum = int(np.argmin(np.where(todo > 0, todo, np.inf)))
        mine = left[counts[left, stratum] > 0]
        for g in mine[np.lexsort((tie[mine], -counts[mine, 0], -counts[mine, stratum]))]:
            place[g] = _cheapest(_added(have, want, counts[g]), rng)
            have[place[g]] += counts[g]
    _refine(place, counts, have, want, rng)
    for part in np.flatnonzero(np.bincount(place, minlength=parts) == 0):
        crowded = np.bincount(place, minlength=parts).argmax()
        smallest = min(np.flatnonzero(place == crowded), key=lambda g: (counts[g, 0], tie[g]))
        place[smallest] = part
    return place


def _added(have: np.ndarray, want: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Increase of chi-square, ``(n + c - d)^2 / d - (n - d)^2 / d``, summed over the strata, the last axis."""
    return np.asarray((count * (2 * (have - want) + count) / want).sum(-1))


def _cheapest(cost: Float[np.ndarray, " p"], rng: np.random.Generator) -> int:
    return int(rng.choice(np.flatnonzero(cost <= cost.min() + 1e-9)))


def _refine(
    place: Int[np.ndarray, " g"],
    counts: Float[np.ndarray, "g s"],
    have: Float[np.ndarray, "p s"],
    want: Float[np.ndarray, "p s"],
    rng: np.random.Generator,
) -> None:
    """Move single groups, or exchange two, while chi-square falls; ``place`` and ``have`` in place."""
    kinds, kind = np.unique(counts, axis=0, return_inverse=True)  # groups of one kind are alike
    tally = np.zeros((len(want), len(kinds)), np.int64)
    np.add.at(tally, (place, kind), 1)

    def moved(g: int, start: int, end: int) -> None:
        place[g] = end
        have[start] -= counts[g]
        have[end] += counts[g]
        tally[start, kind[g]] -= 1
        tally[end, kind[g]] += 1

    for _ in range(PASSES):
        changed = False
        for g in rng.permutation(len(place)):
            here, count = int(place[g]), counts[g]
            gone = have[here] - count
            best = float(_added(gone, want[here], count)) - 1e-9  # what staying costs
            alone = _added(have, want, count)
            choice = (-1, -1)
            for part in range(len(want)):
                if part == here:
                    continue
                if alone[part] < best:
                    best, choice = float(alone[part]), (part, -1)
                there = np.flatnonzero(tally[part])
                if there.size > KINDS:
                    there = rng.choice(there, KINDS, replace=False)
                back = kinds[there]
                leave = -_added(have[part] + count - back, want[part], back)
                cost = alone[part] + leave + _added(gone, want[here], back)
                if there.size and cost.min() < best:
                    best, choice = float(cost.min()), (part, int(there[cost.argmin()]))
            part, other = choice
            if part < 0:
                continue
            moved(g, here, part)
            if other >= 0:
                others = np.flatnonzero((place == part) & (kind == other))
                moved(int(rng.choice(others[others != g])), part, here)
            changed = True
        if not changed:
            return


def _divide(rows: Sequence[Row], shares: Sequence[float], seed: int) -> list[int]:
    """The part of each row, in row order."""
    together = groups(rows)
    names = sorted({name for row in rows for name in _strata(row)})
    column = {name: i + 1 for i, name in enumerate(names)}
    counts = np.zeros((len(together), len(names) + 1), np.int64)
    for g, members in enumerate(together):
        counts[g, 0] = len(members)
        for row in members:
            for name in _strata(row):
                counts[g, column[name]] += 1
    place = stratify(counts, shares, seed=seed)
    part = {row.id: int(place[g]) for g, members in enumerate(together) for row in members}
    return [part[row.id] for row in rows]


def _strata(row: Row) -> list[str]:
    """Strata of a row: its answers and masks, to be divided evenly between the parts."""
    named = [f"answer {question} {answer}" for question, answer in row.answers.items()]
    named += [
        f"mask {label} {'given' if any(s.path for s in sources) else 'absent'}" for label, sources in row.masks.items()
    ]
    return named + ([f"source {row.source}"] if row.source else [])


def _recorded(manifest: Manifest, rows: tuple[Row, ...], key: str, how: dict[str, Any]) -> Manifest:
    return replace(manifest, rows=rows, path=None, info={**manifest.info, key: how})
