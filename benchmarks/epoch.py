"""One epoch of `fit` against (a) a loop written by hand and (b) the bare training step on tensors in memory.

    python benchmarks/epoch.py [--size 128] [--batch 8] [--images 96] [--rounds 3]

Same network, images, batch and operations on both sides; rounds alternate, and ratios are of medians. The hand-written
loop is torchvision v2 transforms on files, two DataLoader workers, smp's Dice loss, as tutorials have it. HEI-MED is
read from $FOVEATE_DATA where it is there; drawn fundus images of 768 x 768 otherwise.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import segmentation_models_pytorch as smp
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader
from torchvision import tv_tensors
from torchvision.transforms import v2

from foveate import Manifest, fit, load_recipe, synthetic
from foveate.data.adapters import scan
from foveate.data.cache import cache_at
from foveate.data.loader import Dataset, batches

TOML = Path(__file__).parent.parent / "examples" / "fundus_exudates_heimed.toml"


class ByHand(torch.utils.data.Dataset):
    """Files decoded and transformed each time they are asked for."""

    def __init__(self, rows: Manifest, size: int) -> None:
        self.rows, self.root = rows.rows, rows.root
        self.transform = v2.Compose(
            [
                v2.Resize((size, size), antialias=True),
                v2.RandomHorizontalFlip(),
                v2.RandomVerticalFlip(),
                v2.RandomAffine(15, scale=(0.9, 1.1)),
                v2.ColorJitter(brightness=0.15, contrast=0.15),
                v2.ToDtype({tv_tensors.Image: torch.float32, "others": None}, scale=True),
            ]
        )

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        row = self.rows[index]
        image = tv_tensors.Image(v2.functional.pil_to_tensor(Image.open(self.root / row.image).convert("RGB")))
        masks = []
        for sources in row.masks.values():
            source = sources[0]
            if source.path is None:
                masks.append(torch.zeros(image.shape[1:], dtype=torch.uint8))
                continue
            values = v2.functional.pil_to_tensor(Image.open(self.root / source.path))[0].int()
            hit = torch.isin(values, torch.tensor(source.index)) if source.index else (values >> (source.bit or 0)) & 1
            masks.append(hit.to(torch.uint8))
        pixels, mask = self.transform(image, tv_tensors.Mask(torch.stack(masks)))
        answer = torch.tensor([next(iter(row.answers.values())) == "yes"], dtype=torch.float32)
        return pixels.as_subclass(torch.Tensor), mask.as_subclass(torch.Tensor).float(), answer


def main() -> None:
    ask = argparse.ArgumentParser()
    ask.add_argument("--size", type=int, default=128)
    ask.add_argument("--batch", type=int, default=8)
    ask.add_argument("--images", type=int, default=96)
    ask.add_argument("--rounds", type=int, default=3)
    ask.add_argument("--encoder", default="resnet18")
    args = ask.parse_args()
    warnings.filterwarnings("ignore")
    with tempfile.TemporaryDirectory() as folder:
        compare(data(Path(folder), args.images), args, Path(folder))


def data(folder: Path, images: int) -> Manifest:
    """Rows of which all but a batch are for training."""
    root = Path(os.environ.get("FOVEATE_DATA", "none")) / "fundus_exudates_heimed"
    if root.is_dir():
        rows = scan(str(TOML), root).select(questions=["exudate"], labels=["exudate"])
    else:
        drawn = synthetic.write("fundus", folder / "drawn", n=images, size=768)
        schema = synthetic.SCHEMAS["fundus"].select(questions=["atrophy_present"], labels=["disc", "atrophy"])
        rows = Manifest(schema, tuple(drawn), folder / "drawn")
    return rows.with_rows(rows.rows[:images])


def compare(rows: Manifest, args: argparse.Namespace, folder: Path) -> None:
    from dataclasses import replace

    rows = rows.with_rows([replace(r, split="val" if i < 2 else "train") for i, r in enumerate(rows.rows)])
    train = rows.where(split="train")
    settings = {"encoder": args.encoder, "size": args.size, "batch": args.batch, "epochs": 2}
    recipe = load_recipe("image_quality", rows.schema, **settings)
    steps = len(train) // args.batch

    def ours(number: int) -> float:
        out = folder / f"run{number}"
        begin = time.perf_counter()
        fit(recipe, rows, out=out, cache=folder / "cache", quiet=True)
        return time.perf_counter() - begin

    def by_hand(number: int) -> float:
        network = recipe.stages[0].network()
        loader = DataLoader(ByHand(train, args.size), args.batch, shuffle=True, num_workers=2, drop_last=True)
        dice = smp.losses.DiceLoss("multilabel")
        bce = nn.BCEWithLogitsLoss()
        begin = time.perf_counter()
        optimizer = recipe.optimizer(network.parameters())
        network.train()
        for image, mask, answer in loader:
            optimizer.zero_grad()
            out = network(image)
            loss = 0.25 * dice(out.pixel, mask) + 0.25 * bce(out.pixel, mask) + 0.5 * bce(out.image[:, :1], answer)
            loss.backward()
            optimizer.step()
        return time.perf_counter() - begin

    cached = Dataset(train.rows, train.root, recipe.schema, recipe.prepare, cache=cache_at(folder / "cache"))
    ours(-1)  # fills the cache, as a first epoch does
    memory = [
        replace(batch, image=batch.image.contiguous(memory_format=torch.channels_last))
        for batch in batches(cached, batch=args.batch, drop_last=True)
    ]

    def bare(number: int) -> float:
        network = recipe.stages[0].network().to(memory_format=torch.channels_last)
        optimizer = recipe.optimizer(network.parameters())
        network.train()
        begin = time.perf_counter()
        for batch in memory:
            optimizer.zero_grad()
            sum(recipe.stages[0].loss(network(batch.image), batch).values()).backward()
            optimizer.step()
        return time.perf_counter() - begin

    def loop_only(number: int) -> float:
        from foveate.engine.train import Trainer

        spent = 0.0
        train_part = Trainer._train

        def timed(self: object, *, until: int) -> dict[str, float]:
            nonlocal spent
            begin = time.perf_counter()
            result = train_part(self, until=until)  # type: ignore[arg-type]
            spent = time.perf_counter() - begin  # of the last epoch, when images are cached
            return result

        Trainer._train = timed  # type: ignore[method-assign]
        try:
            fit(recipe, rows, out=folder / f"loop{number}", cache=folder / "cache", quiet=True)
        finally:
            Trainer._train = train_part  # type: ignore[method-assign]
        return spent

    times = alternate({"by hand": by_hand, "fit, training part": loop_only, "bare step": bare}, args.rounds)
    print(f"{steps} steps of {args.batch} at {args.size} px, {args.encoder}, {torch.get_num_threads()} threads")
    for name, values in times.items():
        print(f"  {name:<20} {statistics.median(values):7.2f} s   ({min(values):.2f} to {max(values):.2f})")
    middle = {name: statistics.median(values) for name, values in times.items()}
    print(f"by hand / fit    {middle['by hand'] / middle['fit, training part']:.2f}  (wanted: at least 1.3)")
    print(f"fit / bare step  {middle['fit, training part'] / middle['bare step']:.3f}  (wanted: at most 1.05)")


def alternate(sides: dict[str, Callable[[int], float]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each side, in turn."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds):
        for name, side in sides.items():
            times[name].append(side(number))
    return times


if __name__ == "__main__":
    main()
