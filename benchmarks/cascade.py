"""The cascade CM-CNN -> class activation map -> CAM-UNet as a run reads images, against a script written by hand.

    python benchmarks/cascade.py [--size 512] [--batches 1 8] [--rounds 5] [--threads 2] [--profile]

Both sides have the same two networks with the same random weights, drawn grey B-scans and float32. The script holds the
networks as they were made, takes the map by a hook and ``backward()`` through CM-CNN, enlarges it and calls CAM-UNet
without gradient. Beside it: the same with the gradient of the last map alone, and both forward passes without any map.
First all answers and masks are held against each other. Rounds alternate; ratios are of medians. Where other programs
run, processor time with ``--threads 1`` is the figure to go by.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from foveate import load_recipe, synthetic
from foveate.core.labels import LabelSchema
from foveate.core.types import Batch
from foveate.engine.checkpoint import save_weights
from foveate.engine.run import Run

Read = Callable[[], tuple[Tensor, Tensor]]


def lived(network: nn.Module, image: Tensor) -> nn.Module:
    """With statistics of real images, and heads that are sure of something."""
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):  # timm starts the last normalisation of a block at 0
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.normal_(part.bias, 0, 0.1)
    network.train()
    with torch.no_grad():
        for shift in range(6):
            network(image.roll(shift * 7, 3), image.roll(shift * 3, 2))
    network.eval()
    for name, weight in network.named_parameters():
        if "head" in name:
            nn.init.normal_(weight, 0, 0.2)
    return network


def script(classify: nn.Module, segment: nn.Module, image: Tensor, schema: LabelSchema, *, whole: bool) -> Read:
    """What people write; ``whole`` = ``backward()`` through all of CM-CNN, else the gradient of its last map."""
    question = schema.questions[0]
    here = schema.slices[question.name]
    maps: list[Tensor] = []
    classify.get_submodule("join").register_forward_hook(lambda module, given, out: maps.append(out))

    def run() -> tuple[Tensor, Tensor]:
        maps.clear()
        answers = classify(image).image
        logits = answers[:, here]
        score = logits.abs() if question.yes_no else logits.amax(1, keepdim=True)
        (feature,) = maps
        if whole:
            feature.retain_grad()
            classify.zero_grad()
            score.sum().backward()
            gradient = feature.grad
        else:
            (gradient,) = torch.autograd.grad(score.sum(), feature)
        assert gradient is not None
        cam = (gradient.mean((2, 3), keepdim=True) * feature).sum(1, keepdim=True).relu().detach()
        cam = cam / cam.amax((2, 3), keepdim=True).clamp_min(1e-12)
        with torch.no_grad():
            large = F.interpolate(cam, image.shape[2:], mode="bilinear", align_corners=False)
            masks = segment(image, large).pixel
        return masks, answers.detach()

    return run


def seconds(run: Read) -> tuple[float, float]:
    """On the wall, and of processors."""
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - wall, time.process_time() - cpu


def images(schema: LabelSchema, count: int, size: int, folder: Path) -> Tensor:
    """Drawn B-scans as the recipe prepares them."""
    recipe = load_recipe("dual_guidance", schema, size=size)
    rows = synthetic.write("oct", folder, n=count, size=size)
    samples = [recipe.prepare(row, folder, schema) for row in rows]
    return torch.stack([torch.from_numpy(s.image).permute(2, 0, 1).float() / 255 for s in samples])


def main() -> None:
    ask = argparse.ArgumentParser()
    ask.add_argument("--size", type=int, default=512)
    ask.add_argument("--batches", type=int, nargs="+", default=[1, 8])
    ask.add_argument("--rounds", type=int, default=5)
    ask.add_argument("--threads", type=int, default=2)
    ask.add_argument("--encoder", default="resnet18")
    ask.add_argument("--profile", action="store_true", help="also tell where our time goes")
    args = ask.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    asked = synthetic.SCHEMAS["oct"]
    with tempfile.TemporaryDirectory() as name:
        recipe = load_recipe("dual_guidance", asked, size=args.size, encoder=args.encoder)
        schema, run = recipe.schema, Run(Path(name), recipe)
        drawn = images(asked, max(args.batches), args.size, run.folder / "drawn")
        few = F.interpolate(drawn[:4], (128, 128))
        for stage in recipe.stages:
            save_weights(run.stage_folder(stage.name) / "weights.safetensors", lived(stage.network(), few))
        hand = [run.recipe.stage(stage.name).network() for stage in recipe.stages]
        for network, stage in zip(hand, recipe.stages, strict=True):
            network.load_state_dict(run.network(stage.name).state_dict())
            network.eval()
        reader = run.pipeline()
        print(f"{args.size} px, {args.encoder}, {torch.get_num_threads()} threads, medians of {args.rounds}")
        for count in args.batches:
            image = drawn[:count]
            empty = torch.zeros(count, len(schema.labels), args.size, args.size, dtype=torch.bool)
            answers = torch.zeros(count, len(schema.questions), dtype=torch.long)
            batch = Batch(schema, tuple(map(str, range(count))), image, answers, empty, empty)

            def ours(batch: Batch = batch) -> tuple[Tensor, Tensor]:
                out = reader(batch)
                assert out.pixel is not None
                assert out.image is not None
                return out.pixel, out.image

            def forward(image: Tensor = image) -> tuple[Tensor, Tensor]:
                with torch.no_grad():
                    return hand[1](image, image).pixel, hand[0](image).image

            sides: dict[str, Read] = {
                "script": script(hand[0], hand[1], image, schema, whole=True),
                "script, gradient of one map": script(hand[0], hand[1], image, schema, whole=False),
                "forward passes, no map": forward,
                "ours": ours,
            }
            agree(sides, schema)
            times: dict[str, list[tuple[float, float]]] = {side: [] for side in sides}
            for _ in range(args.rounds):
                for side, read in sides.items():
                    times[side].append(seconds(read))
            show(times, count)
            if args.profile:
                with profile(activities=[ProfilerActivity.CPU]) as found:
                    ours()
                print(found.key_averages().table(sort_by="self_cpu_time_total", row_limit=12))


def agree(sides: dict[str, Read], schema: LabelSchema) -> None:
    """Both scripts and ours give the same probabilities to 1e-4; AssertionError where not."""
    masks, answers = sides["ours"]()
    p, q = schema.pixel_probability(masks), schema.image_probability(answers)
    assert p.max() - p.min() > 0.1, f"{p.min()} to {p.max()}: networks that mark nothing agree by chance"
    for side in ("script", "script, gradient of one map"):
        masks, answers = sides[side]()
        apart = [float((schema.pixel_probability(masks) - p).abs().max())]
        apart += [float((found - q[name]).abs().max()) for name, found in schema.image_probability(answers).items()]
        assert max(apart) < 1e-4, (side, apart)
        print(f"  {side}: probabilities {p.min():.2f} to {p.max():.2f}, at most {max(apart):.1e} apart")


def show(times: dict[str, list[tuple[float, float]]], count: int) -> None:
    middle = {side: [statistics.median(column) for column in zip(*found, strict=True)] for side, found in times.items()}
    print(f"batch {count}")
    for side, (wall, cpu) in middle.items():
        ratio = [a / b for a, b in zip(middle[side], middle["ours"], strict=True)]
        print(
            f"  {side:<28}{1000 * wall:8.0f} ms   processors {1000 * cpu:8.0f} ms"
            f"   / ours {ratio[0]:5.2f} (processors {ratio[1]:.2f})"
        )


if __name__ == "__main__":
    main()
