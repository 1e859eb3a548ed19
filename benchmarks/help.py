"""How long ``foveate --help`` takes, against an interpreter that does nothing.

    python benchmarks/help.py [--rounds 10]

Rounds alternate; the median of the help is wanted under 0.3 s.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time


def seconds(*words: str) -> float:
    """Wall time of one start of the interpreter."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, *words], check=True, capture_output=True)
    return time.perf_counter() - begin


def main() -> None:
    ask = argparse.ArgumentParser()
    ask.add_argument("--rounds", type=int, default=10)
    rounds = ask.parse_args().rounds
    pairs = [(seconds("-m", "foveate", "--help"), seconds("-c", "pass")) for _ in range(rounds + 1)][1:]
    ours, bare = (statistics.median(side) for side in zip(*pairs, strict=True))
    print(f"foveate --help {ours:.3f} s, empty interpreter {bare:.3f} s (medians of {rounds})")


if __name__ == "__main__":
    main()
