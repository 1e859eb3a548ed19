"""`scan` and `check` of many small images against (a) reading, decoding and hashing and (b) reading and hashing.

    python benchmarks/scan_check.py [--images 20000] [--size 64] [--workers 2] [--rounds 1]

Half JPEG, half PNG, with a csv of answers, in a folder that is removed. Each side runs in a process of its own, so that
its peak memory is its own; times are inside the process, imports left out. (a) opens every file with Pillow, makes it
RGB and hashes the pixels; (b) hashes the bytes; both one after the other in one process. `scan` hashes every file and
writes the manifest; `check` reads it, decodes and hashes every image, hashes the file again, counts the answers, looks
for near duplicates, and draws 200 shuffles for each thing an answer may be guessed from.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

TOML = """
name = "many"
images = "images/*/*"
[table]
file = "labels.csv"
id = "id"
[columns]
patient = "patient"
[questions.ill]
column = "ill"
values = { 0 = "no", 1 = "yes" }
"""


def make(folder: Path, images: int, size: int) -> None:
    import cv2
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    lines = ["id,patient,ill"]
    for i in range(images):
        name = f"{i:06}"
        path = folder / "images" / name[:3] / f"{name}.{'jpg' if i % 2 else 'png'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = rng.integers(0, 256, (12, 12, 3), dtype=np.uint8)
        Image.fromarray(cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)).save(path)
        lines.append(f"{name},{i // 2},{i // 2 % 3 // 2}")
    (folder / "labels.csv").write_text("\n".join(lines))
    (folder / "dataset.toml").write_text(TOML)


def files(folder: Path) -> list[Path]:
    return sorted(path for path in (folder / "images").glob("*/*") if path.is_file())


def decode(folder: Path, workers: int) -> dict[str, float]:
    import numpy as np
    from PIL import Image

    Image.init()

    def run() -> None:
        for path in files(folder):
            with Image.open(path) as file:
                hashlib.sha256(np.asarray(file.convert("RGB"))).digest()

    return timed(run)


def read(folder: Path, workers: int) -> dict[str, float]:
    def run() -> None:
        for path in files(folder):
            hashlib.sha256(path.read_bytes()).digest()

    return timed(run)


def ours(folder: Path, workers: int) -> dict[str, float]:
    from foveate.data.adapters import scan
    from foveate.data.check import check
    from foveate.data.manifest import Manifest

    out = folder / "m.jsonl"
    first = timed(lambda: scan("folder", folder).write(out))
    found = []
    second = timed(lambda: found.append(check(Manifest.read(out), workers=workers)))
    if not found[0].ok or found[0].images != len(files(folder)):
        raise SystemExit(f"check found what is not there:\n{found[0]}")
    both = {key: first[key] + second[key] for key in first}
    return {**both, "scan": first["seconds"], "check": second["seconds"]}


def timed(run: Callable[[], object]) -> dict[str, float]:
    """Seconds on the wall, and of processors, those of ended workers included."""
    begin, before = time.perf_counter(), sum(os.times()[:4])
    run()
    return {"seconds": time.perf_counter() - begin, "cpu": sum(os.times()[:4]) - before}


SIDES = {"scan + check": ours, "(a) read, decode, hash": decode, "(b) read, hash": read}


def main() -> None:
    ask = argparse.ArgumentParser()
    ask.add_argument("--images", type=int, default=20_000)
    ask.add_argument("--size", type=int, default=64)
    ask.add_argument("--workers", type=int, default=2)
    ask.add_argument("--rounds", type=int, default=1)
    ask.add_argument("--side", help=argparse.SUPPRESS)
    ask.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = ask.parse_args()
    if args.side:
        figures = SIDES[args.side](args.folder, args.workers)
        both = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        own, child = both
        print(json.dumps({**figures, "MiB": own / 1024, "worker MiB": child / 1024}))
        return
    best: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        make(folder, args.images, args.size)
        for _ in range(args.rounds):
            for side in SIDES:
                command = [sys.executable, __file__, "--side", side, "--folder", place, "--workers", str(args.workers)]
                told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                figures = json.loads(told.splitlines()[-1])
                if side not in best or figures["seconds"] < best[side]["seconds"]:
                    best[side] = figures
    print(f"{args.images} images of {args.size} px, {args.workers} workers, best of {args.rounds}")
    for side, figures in best.items():
        rate = args.images / figures["seconds"]
        parts = "".join(f", {k} {figures[k]:.1f} s" for k in ("scan", "check") if k in figures)
        memory = f"{figures['MiB']:.0f} MiB" + f" + {figures['worker MiB']:.0f} a worker" * (side == "scan + check")
        spent = f"{figures['seconds']:6.1f} s (processors {figures['cpu']:.1f} s){parts}"
        print(f"  {side:<24}{rate:8.0f} images/s  {spent}; peak {memory}")
    for side in list(SIDES)[1:]:
        wall, cpu = (best[side][key] / best["scan + check"][key] for key in ("seconds", "cpu"))
        print(f"scan + check / {side:<24}{wall:.2f} (by processor time {cpu:.2f})")


if __name__ == "__main__":
    main()
