"""Memory and time of one forward pass of the multi-task network: lesions, their presence and a grade from one image.

    python benchmarks/lesion_memory.py [--size 896] [--device cpu] [--stride 16] [--encoder inception_v3]

Wei et al. 2020 name 1.5 GB of GPU memory for theirs, and 3.2 GB for the three single networks that it replaces (FCN-8s,
DeepLabv3+, ABN). Every network is read in a process of its own: on a CPU the growth of the largest resident memory
above that of the process with its libraries loaded, on CUDA the largest memory that torch reserved.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
from functools import partial

import torch
from torch import nn

from foveate.core.labels import LabelSchema, Question
from foveate.models.baselines.abn import ABN
from foveate.models.baselines.deeplabv3plus import DeepLabV3Plus
from foveate.models.baselines.fcn import FCN
from foveate.models.lesion_net import LesionNet
from foveate.models.parts.size import size_mib
from foveate.models.side_attention import SideAttention

SCHEMA = LabelSchema(
    (Question("grade", ("0", "1", "2", "3", "4"), ordered=True),), tuple(f"lesion{k}" for k in range(8))
)
NETWORKS = ("multi-task", "FCN-8s", "DeepLabv3+", "ABN")


def make(name: str, encoder: str, stride: int) -> nn.Module:
    """A network by its name."""
    if name == "multi-task":
        return SideAttention(encoder, SCHEMA, lesions=partial(LesionNet, encoder, SCHEMA, stride=stride))
    if name == "FCN-8s":
        return FCN(encoder, SCHEMA, stride=8)
    return DeepLabV3Plus(encoder, SCHEMA) if name == "DeepLabv3+" else ABN(encoder, SCHEMA)


def resident() -> float:
    """Largest resident memory so far, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@torch.inference_mode()
def measure(name: str, *, size: int, device: str, encoder: str, stride: int) -> str:
    """One line: parameters, memory, seconds of the second pass."""
    before = resident()
    network = make(name, encoder, stride).eval().to(device)
    image = torch.rand(1, 3, size, size, device=device)
    for _ in range(2):
        start = time.perf_counter()
        outputs = network(image)
        if device == "cuda":
            torch.cuda.synchronize()
        seconds = time.perf_counter() - start
    memory = torch.cuda.max_memory_reserved() / 2**20 if device == "cuda" else resident() - before
    made = [n for n, t in (("masks and presence", outputs.pixel), ("grade", outputs.image)) if t is not None]
    return f"{name:12} {size_mib(network):8.1f} MiB weights {memory:8.0f} MiB peak {seconds:7.2f} s   {', '.join(made)}"


def main() -> None:
    """Measure each network in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=896)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--encoder", default="inception_v3")
    parser.add_argument("--stride", type=int, default=16)
    parser.add_argument("--only", choices=NETWORKS)
    args = parser.parse_args()
    if args.only:
        print(measure(args.only, size=args.size, device=args.device, encoder=args.encoder, stride=args.stride))
        return
    for name in NETWORKS:
        subprocess.run([sys.executable, __file__, *sys.argv[1:], "--only", name], check=True)


if __name__ == "__main__":
    main()
