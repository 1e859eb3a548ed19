"""How far several annotators agree: on where (Dice), on whether, and on their answers (kappa)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean, median

import numpy as np
from jaxtyping import Int

from foveate.core.kappa import kappa


@dataclass(frozen=True, slots=True)
class Drawn:
    """Two annotators' masks of one label in one image, counted over the pixels that both know.

    Args:
        image: its id.
        label: what was marked.
        annotators: the two.
        pixels: marked by the first, by the second.
        both: marked by both.
    """

    image: str
    label: str
    annotators: tuple[str, str]
    pixels: tuple[int, int]
    both: int

    @property
    def dice(self) -> float | None:
        """2 * both / (first + second); None where neither marked anything."""
        total = sum(self.pixels)
        return 2 * self.both / total if total else None


@dataclass(frozen=True)
class Agreement:
    """How far annotators agree on one label.

    Args:
        label: what was marked, or the question that was answered (then there is no Dice).
        annotators: two, or all of a label that has three or more.
        images: that all of them looked at.
        either: pairs of masks of an image of which one or both are marked; Dice is taken over these.
        mean: Dice, its mean; nan where nobody marked anything.
        middle: Dice, its median.
        kappa: of "is there any": Cohen's of two annotators, Fleiss' of more; nan if all gave one answer to every image.
    """

    label: str
    annotators: tuple[str, ...]
    images: int
    either: int
    mean: float
    middle: float
    kappa: float


def agreement(drawn: Iterable[Drawn]) -> tuple[Agreement, ...]:
    """Every pair of annotators of every label, then all annotators of a label together where there are three or more.

    Args:
        drawn: every pair of masks of every image; the two annotators in the same order throughout.
    """
    pairs: dict[tuple[str, tuple[str, str]], list[Drawn]] = defaultdict(list)
    for one in drawn:
        pairs[one.label, one.annotators].append(one)
    out = [_of_pair(label, annotators, some) for (label, annotators), some in pairs.items()]
    for label in dict.fromkeys(label for label, _ in pairs):
        annotators = tuple(sorted({g for name, two in pairs if name == label for g in two}))
        if len(annotators) > 2:
            out.append(_of_all(label, annotators, [some for (name, _), some in pairs.items() if name == label]))
    return tuple(out)


def answered(
    question: str, answers: Sequence[str], given: Iterable[Mapping[str, str]], *, least: int = 2, ordered: bool = False
) -> tuple[Agreement, ...]:
    """Agreement of every pair of annotators of a question (Cohen's kappa), then of all (Fleiss'), if three or more.

    The annotators may differ from image to image: Fleiss' kappa is that of the images with the most frequent number of
    annotators.

    Args:
        question: its name; becomes ``Agreement.label``.
        answers: all answers of the question.
        given: annotator -> answer of each image.
        least: number of common images that a pair needs.
        ordered: the answers have an order: Cohen's kappa of a pair has quadratic weights.
    """
    read = [one for one in given if len(one) > 1]
    out = []
    nothing = (0, float("nan"), float("nan"))
    for pair in combinations(sorted({reader for one in read for reader in one}), 2):
        both = [one for one in read if set(pair) <= set(one)]
        if len(both) >= least:
            first, second = (np.array([answers.index(one[reader]) for one in both]) for reader in pair)
            out.append(Agreement(question, pair, len(both), *nothing, cohen(first, second, power=2 if ordered else 0)))
    usual = max(Counter(len(one) for one in read).items(), key=lambda item: (item[1], item[0]), default=(0, 0))[0]
    if usual > 2:
        counts = [[list(one.values()).count(a) for a in answers] for one in read if len(one) == usual]
        names = tuple(sorted({reader for one in read if len(one) == usual for reader in one}))
        said = names if len(names) == usual else (f"any {usual} of {len(names)} annotators",)
        out.append(Agreement(question, said, len(counts), *nothing, fleiss(np.array(counts, np.int64))))
    return tuple(out)


def _of_pair(label: str, annotators: tuple[str, str], drawn: list[Drawn]) -> Agreement:
    said = np.array([[n > 0 for n in one.pixels] for one in drawn])
    return Agreement(label, annotators, len(drawn), *_dice(drawn), cohen(said[:, 0], said[:, 1]))


def _of_all(label: str, annotators: tuple[str, ...], pairs: list[list[Drawn]]) -> Agreement:
    said: dict[str, dict[str, bool]] = defaultdict(dict)
    for one in (one for drawn in pairs for one in drawn):
        said[one.image] |= {annotator: n > 0 for annotator, n in zip(one.annotators, one.pixels, strict=True)}
    yes = np.array([sum(given.values()) for given in said.values() if len(given) == len(annotators)], np.int64)
    together = [one for drawn in pairs for one in drawn if len(said[one.image]) == len(annotators)]
    return Agreement(label, annotators, len(yes), *_dice(together), fleiss(np.stack([len(annotators) - yes, yes], 1)))


def _dice(drawn: list[Drawn]) -> tuple[int, float, float]:
    values = [d for one in drawn if (d := one.dice) is not None]
    return (len(values), fmean(values), median(values)) if values else (0, float("nan"), float("nan"))


def cohen(first: np.ndarray, second: np.ndarray, *, power: int = 0) -> float:
    """Cohen's kappa of two annotators (`core.kappa`); nan if both gave one answer throughout, or there is no image.

    Args:
        first: answer to each image, of any kind that compares.
        second: as many.
        power: 2 = quadratic weights, for whole numbers that are places in an order; 0 = none.

    >>> cohen(np.array(["no", "no", "yes", "yes"]), np.array(["no", "yes", "yes", "yes"]))
    0.5
    """
    if power:  # an answer that nobody gave has a place between its neighbours too
        answers, places = np.arange(max(first.max(), second.max()) + 1), np.concatenate([first, second])
    else:
        answers, places = np.unique(np.concatenate([first, second]), return_inverse=True)
    matrix = np.zeros((len(answers), len(answers)))
    np.add.at(matrix, (places[: len(first)], places[len(first) :]), 1)
    return float(kappa(matrix, power=power))


def fleiss(counts: Int[np.ndarray, "n k"]) -> float:
    """Fleiss' kappa (Fleiss 1971, Psychological Bulletin 76); nan where all agree by chance, or there is nothing.

    Args:
        counts: how many annotators gave each answer, one line per image; every line has the same sum, two or more.
    """
    if not len(counts):
        return float("nan")
    raters = int(counts[0].sum())
    share = counts.sum(0) / counts.sum()
    expected = float((share**2).sum())
    observed = float((((counts**2).sum(1) - raters) / (raters * (raters - 1))).mean())
    return (observed - expected) / (1 - expected) if expected < 1 else float("nan")
