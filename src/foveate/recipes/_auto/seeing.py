"""How images are seen: colour, field, frame or windows, and the variations that leave them valid."""

from __future__ import annotations

from foveate.core.labels import LabelSchema
from foveate.data.survey import WHOLE as SEEN_WHOLE
from foveate.data.survey import Survey
from foveate.engine.plan import Deciding

LEAST = 8
"""Pixels across that the median lesion of the smallest label should have in the frame: four pixels of the encoder's
finest map of half size, where a U-Net still has a skip."""

WHOLE, FLOOR, MULTIPLE = 512, 256, 32
"""Largest frame seen whole; smallest that is chosen without a time limit; the encoder's coarsest reduction."""

ANSWER = 384
"""Frame of what answers alone: twice the 224 pixels of ImageNet's encoders or a little less."""

WINDOW, FINEST = 256, 2048


def decide_colour(deciding: Deciding, found: Survey) -> None:
    """Modality, colour, field and white edges."""
    modality = deciding.set(
        "modality",
        found.modality,
        "guessed from the pixels: coloured images are photographs, grey ones with layers B-scans; "
        "name it in the manifest to be sure"
        if found.guessed
        else "as the manifest names it",
        f"grey {found.grey:.0%} of {found.sampled} images" if found.guessed else str(found.modalities),
    )
    if found.guessed:
        deciding.note(f"no row names its modality; {modality!r} is a guess from the pixels")
    deciding.set(
        "grey",
        found.grey >= 0.95,
        "images without colour need one channel" if found.grey >= 0.95 else "images have colour",
        f"{found.grey:.0%} of {found.sampled} images have no colour",
    )
    dark = modality not in SEEN_WHOLE and found.lit < 0.97
    deciding.set(
        "crop_field",
        dark,
        "black borders are cut off, so that the frame holds the retina"
        if dark
        else f"images of modality {modality!r} are seen whole"
        if modality in SEEN_WHOLE
        else "no border to cut off",
        f"the lit field's box covers {found.lit:.0%} of the image",
    )
    white = modality == "oct" and found.white > 0
    deciding.set(
        "fill_white",
        white,
        "white edges left by registration are filled" if white else "no white edges of B-scans",
        f"{found.white:.0%} of {found.sampled} images have white edges",
    )


def decide_variations(deciding: Deciding, found: Survey) -> None:
    """Flips and turns that the modality and the questions allow."""
    oct_, sided = deciding["modality"] == "oct", found.sided
    why = "; ".join(f"{name}: {reason}" for name, reason in sided.items())
    deciding.set(
        "mirror",
        not sided,
        f"left and right must stay ({why})" if sided else "nothing that is learnt depends on left and right",
    )
    deciding.set(
        "turn_over",
        not oct_,
        "a B-scan has the vitreous above and the choroid below" if oct_ else "valid for an image seen from the front",
    )
    deciding.set(
        "rotation",
        5.0 if oct_ else 15.0,
        "a B-scan is tilted by a few degrees at most" if oct_ else "a camera or a head is turned by that much",
    )
    views = 2 ** (bool(deciding["mirror"]) + bool(deciding["turn_over"]))
    deciding.set(
        "flips",
        views > 1,
        f"images are read in the flips that training makes, probabilities averaged: {views} times the reading"
        if views > 1
        else "no flip is valid",
    )


def decide_frame(deciding: Deciding, schema: LabelSchema, found: Survey, *, windows: bool = True) -> None:
    """Frame size, and windows if a frame that shows the smallest lesions is too large to be seen whole.

    Args:
        deciding: has crop_field.
        schema: what is learnt.
        found: measurements.
        windows: False = a whole frame whatever the lesions' size, as the time is short.
    """
    natural = max(found.field if deciding["crop_field"] else found.size)
    windows = (
        windows and deciding.asked.get("window", WINDOW) is not None and deciding.asked.get("size", FINEST) > WHOLE
    )
    there = f"the {'lit field' if deciding['crop_field'] else 'image'} is {natural} px long (median)"
    smallest = smallest_lesion(schema, found)
    if smallest is None:
        deciding.set("size", max(64, min(ANSWER, up(natural))), "a whole frame for answers alone", there)
        return
    share, label = smallest
    needed = up(LEAST / share)
    diameter = found.labels[label].diameter
    measured = f"{label}: median diameter {diameter[0] if diameter else 0} px, {share:.3%} of its field; {there}"
    if needed <= WHOLE or natural <= WHOLE or not windows:
        size = max(64, min(max(needed, FLOOR), WHOLE, up(natural)))
        across = share * size
        reason = f"the smallest label's median lesion is {across:.0f} px across"
        if across < LEAST * 0.95:
            reason += f" (fewer than {LEAST}: {'the images have no more' if size >= natural else 'time is short'})"
        elif size > needed:
            reason += f"; {size} px is the least that is taken"
        deciding.set("size", size, reason, measured)
        deciding.set("window", None, "a whole frame shows the lesions, so there are no windows")
        return
    size = deciding.set(
        "size",
        min(needed, up(natural), FINEST),
        "fine frame, seen in windows: the smallest label's median lesion is "
        f"{share * min(needed, natural, FINEST):.1f} px across, and {share * WHOLE:.1f} px in a frame of {WHOLE}",
        measured,
    )
    if deciding.set("window", WINDOW, f"a frame of {size} px is too large to be seen whole") is None:
        return
    deciding.set("each", 2, "windows per training image, so that a step sees few images in many places")
    deciding.set("marked", round(1 / 3, 4), "a third of the windows is about something marked, each label as often")
    if schema.questions:
        deciding.set(
            "answer_size",
            min(ANSWER, size),
            "an answer needs the whole image: a stage of its own sees it in this",
        )


def smallest_lesion(schema: LabelSchema, found: Survey) -> tuple[float, str] | None:
    """The smallest label: its median diameter as a share of what the frame holds, and its name; None without masks."""
    shares = [(one.share[0], label) for label in schema.labels if (one := found.labels[label]).share is not None]
    return min(shares, default=None)


def up(pixels: float) -> int:
    """The next multiple of the encoder's coarsest reduction."""
    return max(MULTIPLE, int(-(-pixels // MULTIPLE)) * MULTIPLE)
