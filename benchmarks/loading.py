"""Images a second with masks: resize, flip, rotate, jitter and CLAHE, against a plain torchvision-v2 pipeline.

    python benchmarks/loading.py [--size 512] [--images 96] [--large 8] [--rounds 3]

One process, one thread, the same files and operations; rounds alternate, ratios are of medians of the processor time
that a pass takes, which other programs on the machine do not lengthen as they do the time by the clock. Ours is timed
twice: the first pass reads the files and fills the cache, later passes read the cache, as epochs after the first do.
torchvision has no CLAHE: it gets OpenCV's, on the resized image.

Two sets: HEI-MED (768 x 685 pixels) from $FOVEATE_DATA if it is there, else drawn fundus images of 768 x 768; and
photographs of 4288 x 2848, as cameras write them: the same images enlarged beside black borders, with grain, as JPEG
of quality 92 (some 2 MB each), their masks as PNG.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from torchvision import tv_tensors
from torchvision.transforms import v2

from foveate import Manifest, synthetic
from foveate.core.types import MaskSource, Row
from foveate.data.adapters import scan
from foveate.data.augment import Augment, brightness, contrast, flip_horizontal, rotate, saturation
from foveate.data.cache import cache_at
from foveate.data.cache_space import usage
from foveate.data.loader import Dataset, collate
from foveate.data.prepare import Prepare

TOML = Path(__file__).parent.parent / "examples" / "fundus_exudates_heimed.toml"
CLIP = 2.0
LARGE = (2848, 4288)


def plain(rows: Manifest, size: int) -> Callable[[], None]:
    """What people write: open, convert, transform."""
    transform = v2.Compose(
        [
            v2.RandomHorizontalFlip(),
            v2.RandomRotation(15),
            v2.ColorJitter(brightness=0.15, contrast=0.15, saturation=0.15),
            v2.ToDtype({tv_tensors.Image: torch.float32, "others": None}, scale=True),
        ]
    )
    resize = v2.Resize((size, size), antialias=True)
    clahe = cv2.createCLAHE(CLIP, (8, 8))

    def run() -> None:
        for row in rows:
            image = tv_tensors.Image(v2.functional.pil_to_tensor(Image.open(rows.root / row.image).convert("RGB")))
            masks = []
            for sources in row.masks.values():
                source = sources[0]
                if source.path is None:
                    masks.append(torch.zeros(image.shape[1:], dtype=torch.uint8))
                    continue
                values = v2.functional.pil_to_tensor(Image.open(rows.root / source.path))[0].int()
                hit = (
                    torch.isin(values, torch.tensor(source.index)) if source.index else values >> (source.bit or 0) & 1
                )
                masks.append(hit.to(torch.uint8))
            image, mask = resize(image, tv_tensors.Mask(torch.stack(masks)))
            lab = cv2.cvtColor(image.permute(1, 2, 0).numpy(), cv2.COLOR_RGB2LAB)
            lab[:, :, 0] = clahe.apply(np.ascontiguousarray(lab[:, :, 0]))
            levelled = torch.from_numpy(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)).permute(2, 0, 1)
            transform(tv_tensors.Image(levelled), mask)

    return run


def ours(rows: Manifest, size: int, cache: Path) -> Callable[[], None]:
    """The same through the house."""
    augment = Augment((flip_horizontal(), rotate(15, p=1.0), brightness(0.15), contrast(0.15), saturation(0.15)))
    prepare = Prepare(size=size, clahe=CLIP, stretch=True)
    data = Dataset(rows.rows, rows.root, rows.schema, prepare, augment=augment, cache=cache_at(cache))

    def run() -> None:
        for index in range(len(data)):
            collate([data.sample(index, rng=np.random.default_rng(index))], rows.schema)

    return run


def seconds(run: Callable[[], None]) -> float:
    """Processor time of one pass."""
    begin = time.process_time()
    run()
    return time.process_time() - begin


def enlarged(rows: Manifest, folder: Path) -> Manifest:
    """Photographs of a camera's size made of small ones, with their masks."""
    rng, (height, width) = np.random.default_rng(0), LARGE
    made = []
    for number, row in enumerate(rows):
        small = np.asarray(Image.open(rows.root / row.image).convert("RGB"))
        side = round(height * small.shape[1] / small.shape[0])
        left = (width - side) // 2

        def large(image: np.ndarray, way: int, side: int = side, left: int = left) -> np.ndarray:
            wide = cv2.resize(image, (side, height), interpolation=way)
            return np.pad(wide, ((0, 0), (left, width - side - left), *[(0, 0)] * (wide.ndim - 2)))

        photograph = large(small, cv2.INTER_CUBIC)
        grain = cv2.GaussianBlur(rng.normal(0, 8, LARGE).astype(np.float32), (0, 0), 0.8)[..., None]
        photograph = np.where(photograph > 20, np.clip(photograph + grain, 0, 255), photograph).astype(np.uint8)
        Image.fromarray(photograph).save(folder / f"{number}.jpg", quality=92)
        paths = {source.path: f"{number}_{at}.png" for at, source in enumerate(sources_of(row))}
        for path, name in paths.items():
            values = np.asarray(Image.open(rows.root / path))
            Image.fromarray(large(values, cv2.INTER_NEAREST)).save(folder / name)
        masks = {
            label: tuple(replace(s, path=paths[s.path]) if s.path else s for s in sources)
            for label, sources in row.masks.items()
        }
        made.append(replace(row, image=f"{number}.jpg", masks=masks, sha256=None))
    return replace(rows, rows=tuple(made), root=folder, path=None)


def sources_of(row: Row) -> list[MaskSource]:
    """Sources of a row's masks that are files, each file once."""
    found = {source.path: source for sources in row.masks.values() for source in sources if source.path}
    return list(found.values())


def compare(rows: Manifest, about: str, args: argparse.Namespace, cache: Path) -> None:
    """Time all sides on a set and print them."""
    times: dict[str, list[float]] = {"torchvision v2": [], "first pass": [], "later passes": []}
    for _ in range(args.rounds):
        shutil.rmtree(cache, ignore_errors=True)
        times["torchvision v2"].append(seconds(plain(rows, args.size)))
        times["first pass"].append(seconds(ours(rows, args.size, cache)))
        times["later passes"].append(seconds(ours(rows, args.size, cache)))
    middle = {name: statistics.median(values) for name, values in times.items()}
    held = usage(cache)
    print(f"{len(rows)} {about} with {len(rows.schema.labels)} labels at {args.size} px, one thread")
    for name, value in middle.items():
        print(f"  {name:<16} {len(rows) / value:7.1f} images/s   {middle['torchvision v2'] / value:5.2f} x")
    print(f"  in the cache     {held.size / len(rows) / 1e6:7.2f} MB per image")


def main() -> None:
    ask = argparse.ArgumentParser()
    ask.add_argument("--size", type=int, default=512)
    ask.add_argument("--images", type=int, default=96)
    ask.add_argument("--large", type=int, default=8)
    ask.add_argument("--rounds", type=int, default=3)
    args = ask.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    root = Path(os.environ.get("FOVEATE_DATA", "none")) / "fundus_exudates_heimed"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if root.is_dir():
            rows, about = scan(str(TOML), root), "images of HEI-MED"
        else:
            drawn = synthetic.write("fundus", folder / "drawn", n=args.images, size=768)
            rows, about = Manifest(synthetic.SCHEMAS["fundus"], tuple(drawn), folder / "drawn"), "drawn fundus images"
        (folder / "large").mkdir()
        large = enlarged(rows.with_rows(rows.rows[: args.large]), folder / "large")
        compare(rows.with_rows(rows.rows[: args.images]), about, args, folder / "cache")
        compare(large, f"photographs of {LARGE[1]} x {LARGE[0]}", args, folder / "cache")


if __name__ == "__main__":
    main()
