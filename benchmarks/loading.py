"""Images a second with masks: resize, flip, rotate, jitter and CLAHE, against a plain torchvision-v2 pipeline.

    python benchmarks/loading.py [--size 512] [--images 96] [--rounds 3]

One process, one thread, the same files and operations; rounds alternate, ratios are of medians. Ours is timed twice:
the first pass reads the files and fills the cache, later passes read the cache, as epochs after the first do.
torchvision has no CLAHE: it gets OpenCV's, on the resized image. HEI-MED is read from $FOVEATE_DATA where it is there;
drawn fundus images of 768 x 768 otherwise.
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
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from torchvision import tv_tensors
from torchvision.transforms import v2

from foveate import Manifest, synthetic
from foveate.data.adapters import scan
from foveate.data.augment import Augment, brightness, contrast, flip_horizontal, rotate, saturation
from foveate.data.cache import cache_at
from foveate.data.loader import Dataset, collate
from foveate.data.prepare import Prepare

TOML = Path(__file__).parent.parent / "examples" / "fundus_exudates_heimed.toml"
CLIP = 2.0


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
    augment = Augment((flip_horizontal(), rotate(15), brightness(0.15), contrast(0.15), saturation(0.15)))
    prepare = Prepare(size=size, clahe=CLIP, stretch=True)
    data = Dataset(rows.rows, rows.root, rows.schema, prepare, augment=augment, cache=cache_at(cache))

    def run() -> None:
        for index in range(len(data)):
            collate([data.sample(index, rng=np.random.default_rng(index))], rows.schema)

    return run


def seconds(run: Callable[[], None]) -> float:
    """Wall time of one pass."""
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def main() -> None:
    ask = argparse.ArgumentParser()
    ask.add_argument("--size", type=int, default=512)
    ask.add_argument("--images", type=int, default=96)
    ask.add_argument("--rounds", type=int, default=3)
    args = ask.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    root = Path(os.environ.get("FOVEATE_DATA", "none")) / "fundus_exudates_heimed"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if root.is_dir():
            rows, source = scan(str(TOML), root), "HEI-MED"
            rows = rows.with_rows(rows.rows[: args.images])
        else:
            drawn = synthetic.write("fundus", folder / "drawn", n=args.images, size=768)
            rows, source = Manifest(synthetic.SCHEMAS["fundus"], tuple(drawn), folder / "drawn"), "drawn fundus"
        times: dict[str, list[float]] = {"torchvision v2": [], "first pass": [], "later passes": []}
        for _ in range(args.rounds):
            shutil.rmtree(folder / "cache", ignore_errors=True)
            times["torchvision v2"].append(seconds(plain(rows, args.size)))
            times["first pass"].append(seconds(ours(rows, args.size, folder / "cache")))
            times["later passes"].append(seconds(ours(rows, args.size, folder / "cache")))
    middle = {name: statistics.median(values) for name, values in times.items()}
    print(f"{len(rows)} images of {source} with {len(rows.schema.labels)} labels at {args.size} px, one thread")
    for name, value in middle.items():
        print(f"  {name:<16} {len(rows) / value:7.1f} images/s   {middle['torchvision v2'] / value:5.2f} x")


if __name__ == "__main__":
    main()
