"""The pictures of the README: drawn retinas with their truth, and what the demo's run made of them.

foveate demo -o demo && python examples/readme_pictures.py demo docs/images
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from foveate import Manifest, Predictor, load_run, synthetic
from foveate.core.types import Case
from foveate.inference.case_choice import make_cases, pick, score_images
from foveate.metrics.counts import Counts
from foveate.report.case_sheets import Panel, answers, case_sheet, sheet
from foveate.report.overlay import activation, overlay

SHOWN = {"fundus": (3, 8), "oct": (2, 8), "enface": (0, 3)}
"""Seeds of the drawn images, by kind."""


def drawn(kind: str, seed: int, *, size: int = 320) -> Image.Image:
    """A drawn image beside itself with its truth."""
    made = synthetic.draw(kind, seed, size=size)
    image = np.ascontiguousarray(np.broadcast_to(made.image, (*made.image.shape[:2], 3)))
    truth = overlay(image, masks=made.masks, labels=synthetic.SCHEMAS[kind].labels, legend=False)
    return beside([Image.fromarray(image), truth])


def beside(pictures: list[Image.Image], *, gap: int = 6, down: bool = False) -> Image.Image:
    """Pictures in a row (or a column) on white."""
    sizes = np.array([p.size for p in pictures])
    along, across = (1, 0) if down else (0, 1)
    size = [0, 0]
    size[along], size[across] = int(sizes[:, along].sum()) + gap * (len(pictures) - 1), int(sizes[:, across].max())
    sheet, at = Image.new("RGB", (size[0], size[1]), "white"), 0
    for picture in pictures:
        sheet.paste(picture, (0, at) if down else (at, 0))
        at += picture.size[along] + gap
    return sheet


def main(demo: Path, out: Path) -> None:
    """Write the three pictures."""
    out.mkdir(parents=True, exist_ok=True)
    rows = [beside([drawn(kind, seed) for seed in seeds]) for kind, seeds in SHOWN.items()]
    beside(rows, down=True).save(out / "drawn.jpg", quality=85)
    run = load_run(demo / "enface_run")
    counts = Counts.read(run.folder, run.recipe.schema)
    scores = score_images(counts)
    test, predictor = Manifest.read(demo / "enface.jsonl").where(split="test"), Predictor(run)
    chosen = pick(scores, each=2)
    cases = make_cases(predictor, test, [chosen[0], chosen[-1]], scores=scores)
    case_sheet(cases, width=300).save(out / "cases.jpg", quality=85)
    graded = make_cases(predictor, test, one_an_answer(counts), scores=scores)
    images = [
        Panel(f"grade {case.answers['quality']}", Image.fromarray(case.image).resize((256, 256))) for case in graded
    ]
    maps = [Panel(answers(case)["quality"], activation(case.image, cam=own_map(case), width=256)) for case in graded]
    sheet({"images": images, "where the network saw the grade": maps}).save(out / "cams.jpg", quality=85)


def own_map(case: Case) -> np.ndarray:
    """The map of the answer that is true."""
    return case.prediction.cam["quality"][case.answers["quality"]]


def one_an_answer(counts: Counts) -> list[str]:
    """For every grade the test image of that grade that was given it most surely."""
    table = counts.answers
    true = table["truth"] == 1
    found = []
    for answer in dict.fromkeys(table["answer"][true].tolist()):
        mine = true & (table["answer"] == answer)
        found.append((str(answer), str(table["image"][mine][table["probability"][mine].argmax()])))
    return [image for _, image in sorted(found)]


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
