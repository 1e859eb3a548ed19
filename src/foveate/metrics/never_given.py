"""Labels that a network never marks although images have them, and true answers that it never gives."""

from __future__ import annotations

import numpy as np

from foveate.metrics.counts import Counts, LabelCounts

ENOUGH = 5
"""Images without a label from which on a mark in every one is reported: a network that marks half of such images at
random does so in all of five with a probability of 3 %."""


def never_given(counts: Counts) -> tuple[str, ...]:
    """Labels and answers that the network never gives, as plain sentences without a full stop; empty if there are none.

    Reported are labels that images have and that no image was given, labels that every image was given although at
    least `ENOUGH` of them do not have it, and answers that are true of images and were given to none.

    Args:
        counts: of the images; a label or question without a known truth is not reported.
    """
    return (*never_marked(counts), *never_answered(counts))


def never_marked(counts: Counts) -> tuple[str, ...]:
    """The sentences of `never_given` that are about labels: marked in no image, or in every image."""
    return tuple(line for label, part in counts.labels.items() if (line := _of_label(label, part)))


def never_answered(counts: Counts) -> tuple[str, ...]:
    """The sentences of `never_given` that are about answers; one sentence for a question with one answer throughout."""
    out: list[str] = []
    for q in counts.schema.questions:
        scores = counts.questions[q.name]
        true = np.bincount(scores.truth, minlength=len(q.answers))
        given = np.bincount(scores.given, minlength=len(q.answers))
        lost = [k for k in range(len(q.answers)) if true[k] and not given[k]]
        if lost and np.count_nonzero(given) == 1:
            words = ", ".join(f"{q.answers[k]} (true in {_images(int(true[k]))})" for k in lost)
            out.append(f"question {q.name}: always answered {q.answers[int(given.argmax())]}; never given: {words}")
        else:
            out += [f"answer {q.name} = {q.answers[k]}: true in {_images(int(true[k]))}, given in none" for k in lost]
    return tuple(out)


def unmarked(counts: Counts) -> frozenset[str]:
    """Labels that images have and that were marked in no image."""
    return frozenset(
        label for label, part in counts.labels.items() if part.truth.any() and not (part.tp + part.fp).any()
    )


def _of_label(label: str, part: LabelCounts) -> str:
    marked, present = part.tp + part.fp > 0, int((part.truth > 0).sum())
    absent = len(part.truth) - present
    if present and not marked.any():
        return f"label {label}: in {_images(present)}, marked in none"
    if absent >= ENOUGH and marked.all():
        return f"label {label}: marked in all {_images(len(marked))}, {absent} of them without it"
    return ""


def _images(count: int) -> str:
    return f"{count} image{'' if count == 1 else 's'}"
