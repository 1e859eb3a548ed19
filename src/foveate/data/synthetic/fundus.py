"""Drawn colour photographs of the fundus (45 degrees) with the lesions of diabetic retinopathy and atrophy at the disc.

The grade follows the lesions (Table I of Wei et al., "Learn to Segment Retinal Lesions and Beyond"):

===== ==================================================================================
grade lesions
===== ==================================================================================
1     microaneurysms only
2     intraretinal haemorrhages; hard exudates possible
3     more than 20 intraretinal haemorrhages in each of four quadrants; cotton-wool spots possible
4     neovascularisation, vitreous or preretinal haemorrhage; fibrous proliferation possible
===== ==================================================================================
"""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
from jaxtyping import UInt8

from foveate.core.labels import LabelSchema, Question
from foveate.data.synthetic import brush, lesions, retina
from foveate.data.synthetic.brush import Map
from foveate.data.synthetic.drawing import Drawing
from foveate.data.synthetic.vessels import Vessel, tree

LABELS = (
    "microaneurysm",
    "haemorrhage",
    "hard_exudate",
    "cotton_wool_spot",
    "vitreous_haemorrhage",
    "preretinal_haemorrhage",
    "neovascularisation",
    "fibrous_proliferation",
    "disc",
    "atrophy",
)
SCHEMA = LabelSchema(
    questions=(
        Question("grade", ("0", "1", "2", "3", "4"), ordered=True),
        Question("atrophy_present", evidence=("atrophy",)),
    ),
    labels=LABELS,
)
SPACING = 13.0
"""Millimetres of retina along the image's side."""


def haemorrhages_by_quadrant(mask: UInt8[np.ndarray, "h w"]) -> tuple[int, int, int, int]:
    """Connected haemorrhages (8 neighbours) with their centre in each quadrant about the image's middle."""
    _, _, _, centres = cv2.connectedComponentsWithStats(np.ascontiguousarray(mask), connectivity=8)
    below, right = (centres[1:] > (np.array(mask.shape[::-1]) - 1) / 2)[:, ::-1].T
    a, b, c, d = (int(((below == (r > 0)) & (right == (k > 0))).sum()) for r, k in lesions.QUADRANTS)
    return a, b, c, d


def grade_of(masks: Mapping[str, UInt8[np.ndarray, "h w"]]) -> int:
    """Grade 0 to 4 of diabetic retinopathy that the marked lesions amount to; a label not named counts as absent."""
    present = {name for name, mask in masks.items() if mask.any()}
    if present & {"neovascularisation", "vitreous_haemorrhage", "preretinal_haemorrhage"}:
        return 4
    if "haemorrhage" in present:
        return 3 if min(haemorrhages_by_quadrant(masks["haemorrhage"])) > 20 else 2
    return 1 if "microaneurysm" in present else 0


def draw(seed: int, *, size: int) -> Drawing:
    """Draw one eye; seeds 2k and 2k + 1 are the right and left eye of one patient. Grades cycle with the seed."""
    patient = np.random.default_rng([seed // 2, 0xF0])
    drawing = draw_right(np.random.default_rng([seed, 0xF1]), patient, grade=seed % 5, size=size)
    return drawing.mirrored() if seed % 2 else drawing


def draw_right(rng: np.random.Generator, patient: np.random.Generator, *, grade: int, size: int) -> Drawing:
    """Draw a right eye (disc on the right).

    Args:
        rng: of this eye and its picture.
        patient: of what both eyes share.
        grade: diabetic retinopathy to show, 0 to 4.
        size: side of the image in pixels.
    """
    layout, healthy, disease, camera = rng.spawn(4)
    eye = retina.Eye.born(patient, layout)
    view = retina.field_of_view(layout, size)
    light = retina.light_field(layout, size)
    image = retina.background(healthy, size, eye)
    cover = {name: np.zeros((size, size), np.float32) for name in LABELS}
    cover["disc"] = retina.disc_coverage(layout, size, eye)
    if layout.random() < 0.45:
        cover["atrophy"] = retina.atrophy_coverage(layout, size, eye, cover["disc"])
        retina.paint_atrophy(healthy, image, cover["atrophy"])
    retina.paint_disc(healthy, image, eye, cover["disc"])
    vessels = tree(healthy, eye.disc, eye.fovea, width=0.0125)
    _diseased(disease, image, cover, eye, vessels, grade, view)
    image *= light[..., None]
    _photograph(camera, image, view)
    masks = {name: ((c >= 0.5) & (view > 0.5)).astype(np.uint8) for name, c in cover.items()}
    return Drawing(
        image=np.rint(image * 255).astype(np.uint8),
        masks=np.stack([masks[name] for name in LABELS]),
        answers={"grade": str(grade_of(masks)), "atrophy_present": "yes" if masks["atrophy"].any() else "no"},
        disc=(eye.disc[0] * size - 0.5, eye.disc[1] * size - 0.5),
        fovea=(eye.fovea[0] * size - 0.5, eye.fovea[1] * size - 0.5),
        laterality="OD",
        spacing=(SPACING / size, SPACING / size),
    )


def _diseased(
    rng: np.random.Generator, image: retina.Colour, cover: dict[str, Map], eye: retina.Eye, vessels: list[Vessel],
    grade: int, view: Map,
) -> None:  # fmt: skip
    """Paint lesions and vessels in the order of their depth, and note what each covers."""
    size = len(image)
    texture = brush.noise(rng, (size, size), (size // 6, size // 6), octaves=2)
    off_limits = (brush.distance((size, size), eye.disc) < 1.25 * eye.disc_radius) | (view < 1)
    thick = brush.strokes(((v.points, v.widths) for v in vessels if v.widths[0] > 0.0035), size) > 0.35
    leaks: list[np.ndarray] = []
    blots = flames = np.zeros((size, size), np.uint8)
    if grade >= 2:
        several = {2: rng.multinomial(rng.integers(2, 25), [0.25] * 4), 3: rng.integers(23, 29, 4)}
        counts = several.get(grade, rng.multinomial(rng.integers(0, 30), [0.25] * 4))
        blots, flames = lesions.haemorrhages(rng, [int(n) for n in counts], off_limits, eye.disc)
    if grade >= 1:
        taken = off_limits | thick | (blots > 0) | (flames > 0)
        spots, leaks = lesions.microaneurysms(rng, int(rng.integers(3, 12 + 6 * grade)), taken, eye.fovea)
        cover["microaneurysm"] = lesions.as_map(spots)
    cover["haemorrhage"] = lesions.as_map(np.maximum(blots, flames))
    if grade >= 2 and rng.random() < (0.6, 0.7, 0.5)[grade - 2]:
        pit = brush.distance((size, size), eye.fovea) < 0.018
        taken = off_limits | pit | (cover["haemorrhage"] > 0) | (cover["microaneurysm"] > 0)
        cover["hard_exudate"] = lesions.as_map(lesions.hard_exudates(rng, taken, eye.fovea, leaks))
    if grade >= 3 and rng.random() < (0.75, 0.4)[grade - 3]:
        taken = off_limits | (cover["haemorrhage"] > 0)
        cover["cotton_wool_spot"] = lesions.cotton_wool(rng, int(rng.integers(1, 7)), taken, eye.disc)

    brush.blend(image, cover["hard_exudate"] * 0.9, (0.98, 0.87, 0.50))
    lesions.paint_red(image, lesions.as_map(blots), texture, deep=0.7)
    lesions.paint_red(image, cover["microaneurysm"], texture, deep=0.55)
    retina.paint_vessels(image, vessels, cover["disc"])
    lesions.paint_red(image, lesions.as_map(flames), texture, deep=0.55)
    brush.blend(image, cover["cotton_wool_spot"] * (0.80 + 0.08 * np.clip(texture, -1, 1)), (0.97, 0.90, 0.74))
    if grade == 4:
        _proliferative(rng, image, cover, eye, vessels, texture)


def _proliferative(
    rng: np.random.Generator, image: retina.Colour, cover: dict[str, Map], eye: retina.Eye, vessels: list[Vessel],
    texture: Map,
) -> None:  # fmt: skip
    """At least one of new vessels, preretinal and vitreous haemorrhage; what blood hides is not marked."""
    size = len(image)
    signs = rng.random(3) < (0.7, 0.35, 0.35)
    if not signs.any():
        signs[int(rng.integers(3))] = True
    if signs[0]:
        lace, area, roots = lesions.new_vessels(rng, size, eye.disc, eye.disc_radius, vessels)
        cover["neovascularisation"] = area.astype(np.float32)
        brush.tint(image, lace * 0.95, (0.80, 0.36, 0.42))
        if rng.random() < 0.4:
            cover["fibrous_proliferation"] = lesions.fibrous(rng, size, roots, eye.disc)
            streaks = 0.62 + 0.14 * np.clip(texture, -1.5, 1.5)
            brush.blend(image, cover["fibrous_proliferation"] * streaks, (0.84, 0.76, 0.62))
    hidden = np.zeros((size, size), bool)
    if signs[1]:
        pool = lesions.as_map(lesions.preretinal(rng, size, eye.disc))
        cover["preretinal_haemorrhage"] = pool
        brush.blend(image, pool * 0.93, (0.40, 0.075, 0.035))
        brush.tint(image, pool * np.clip(texture, 0, 1) * 0.25, (0.8, 0.7, 0.7))
        hidden |= pool >= 0.5
    if signs[2]:
        density = lesions.vitreous(rng, size, eye.disc)
        cover["vitreous_haemorrhage"] = density
        brush.blend(image, density * 0.9, (0.33, 0.085, 0.04))
        hidden |= density > 0.6
    for name in ("microaneurysm", "haemorrhage", "hard_exudate", "cotton_wool_spot"):
        cover[name] = cover[name] * ~hidden


def _photograph(rng: np.random.Generator, image: retina.Colour, view: Map) -> None:
    """Camera: slight defocus, white balance, grain, black surround."""
    blurred = brush.soften(image, 0.0011 * rng.uniform(0.5, 1.6))
    image[:] = blurred * rng.normal(1, 0.03, 3).astype(np.float32) * np.float32(rng.uniform(0.9, 1.06))
    grain = rng.standard_normal((*view.shape, 1), dtype=np.float32) * np.float32(0.008)
    tone = rng.standard_normal(image.shape, dtype=np.float32) * np.float32(0.004)
    image += grain + tone
    np.clip(image, 0, 1, out=image)
    image *= view[..., None]
