"""Side by side with the peers: the same folds, the same wall-clock budget, one scorer, one table per data set.

    python benchmarks/peers.py env DIR                              install the peers in an environment of their own
    python benchmarks/peers.py run PLAN.toml -o DIR --dry           list the trainings and the hours that they take
    python benchmarks/peers.py run PLAN.toml -o DIR                 train; started again it goes on
    python benchmarks/peers.py page DIR -o PAGE.md                  write the page; what has not run is named

``benchmarks/peers/plan.toml`` is the plan of ``docs/results/peers.md``. Compared are recipes of foveate with
segmentation_models_pytorch (U-Net with ``aux_params``), nnU-Net v2 (2d, masks alone) and a timm classifier (answers
alone). Data sets are read from ``$FOVEATE_DATA``; the environment lies in ``DIR/peers-env`` or
``$FOVEATE_PEERS_ENV``.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # the package beside this file, also if a test loads it by its path

KEPT = "plan.toml"
"""The plan of a comparison, as `run` keeps it in its folder."""


def main(words: Sequence[str] | None = None) -> int:
    args = _parser().parse_args(words)
    from peers import environment, page, plan, running

    if args.command == "env":
        folder = environment.make(args.out)
        print(f"{folder}: {', '.join(f'{k} {v}' for k, v in environment.versions(args.out)['peers'].items())}")
        return 0
    if args.command == "page":
        text = page.page(plan.read_plan(args.out / KEPT), args.out)
        args.page.parent.mkdir(parents=True, exist_ok=True)
        args.page.write_text(text, encoding="utf-8")
        print(args.page)
        return 0
    chosen = plan.read_plan(args.plan, minutes=args.budget)
    cells = chosen.only(which=args.only, folds=args.folds, seeds=args.seeds)
    if args.dry:
        print(running.listing(cells, args.out))
        return 0
    args.out.mkdir(parents=True, exist_ok=True)
    if args.plan.resolve() != (args.out / KEPT).resolve():
        shutil.copyfile(args.plan, args.out / KEPT)
    environment.versions(args.out)
    return 1 if running.run(chosen, cells, args.out, retry=args.retry) else 0


def _parser() -> argparse.ArgumentParser:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = ask.add_subparsers(dest="command", required=True)
    make = commands.add_parser("env", help="install the peers in an environment of their own")
    make.add_argument("out", type=Path, metavar="DIR")
    run = commands.add_parser("run", help="train what is not done yet")
    run.add_argument("plan", type=Path, metavar="PLAN.toml")
    run.add_argument("-o", "--out", type=Path, required=True, metavar="DIR")
    run.add_argument("--only", nargs="+", default=[], metavar="SET/METHOD", help="these rows; SET/* and */METHOD too")
    run.add_argument("--folds", nargs="+", type=int, default=[], metavar="FOLD")
    run.add_argument("--seeds", nargs="+", type=int, default=[], metavar="SEED")
    run.add_argument("--budget", type=float, metavar="MIN", help="minutes of every training instead of the plan's")
    run.add_argument("--retry", action="store_true", help="train failed cells again")
    run.add_argument("--dry", action="store_true", help="list the trainings and the hours, and stop")
    write = commands.add_parser("page", help="write the page of what is done")
    write.add_argument("out", type=Path, metavar="DIR")
    write.add_argument("-o", "--page", type=Path, required=True, metavar="PAGE.md")
    return ask


if __name__ == "__main__":
    sys.exit(main())
