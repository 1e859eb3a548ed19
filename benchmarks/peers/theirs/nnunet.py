"""nnU-Net v2, configuration 2d: its own plan, preparation, network, loss, augmentation, sampling; masks alone.

Its 1000 epochs of 250 steps become as many steps as the wall-clock budget has; the polynomial fall of the learning
rate follows the clock, and the last weights count, as in nnU-Net. Mirroring at prediction stays on.

python nnunet.py TASK.json OUT      (nnUNet_raw, nnUNet_preprocessed and nnUNet_results are set)
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from batchgenerators.utilities.file_and_folder_operations import load_json
from nnunetv2.experiment_planning.plan_and_preprocess_api import extract_fingerprints, plan_experiments, preprocess
from nnunetv2.imageio.natural_image_reader_writer import NaturalImage2DIO
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.paths import nnUNet_preprocessed, nnUNet_raw
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.dataset_name_id_conversion import maybe_convert_to_dataset_name

PLANS = "nnUNetPlans"


def train_for(trainer: nnUNetTrainer, *, minutes: float) -> dict[str, float]:
    """Train for a time: nnU-Net's `run_training` without its epochs, its validation and its checkpoints."""
    trainer.disable_checkpointing = True
    os.environ["nnUNet_n_proc_DA"] = "0"  # noqa: SIM112 - else a process beside the 2 cores augments
    trainer.on_train_start()
    trainer.network.train()
    steps, total, begin, spent = 0, 60 * minutes, time.monotonic(), time.process_time()
    while (share := (time.monotonic() - begin) / total) < 1:
        for group in trainer.optimizer.param_groups:
            group["lr"] = trainer.initial_lr * (1 - share) ** 0.9
        loss = trainer.train_step(next(trainer.dataloader_train))["loss"]
        steps += 1
        if steps % 10 == 0:
            print(f"step {steps}, {time.monotonic() - begin:.0f} s, loss {float(loss):.3f}", flush=True)
    seconds, cpu = time.monotonic() - begin, time.process_time() - spent
    return {"steps": steps, "seconds": seconds, "cpu": cpu, "batch": trainer.batch_size}


def prepare(number: int, split: dict[str, list[str]], *, memory: float | None) -> nnUNetTrainer:
    """Plan and preprocess a raw data set; returns its trainer.

    Args:
        number: of the data set.
        split: names of the training and validation cases.
        memory: GiB of accelerator memory that the plan is made for, which sets the batch; None = nnU-Net's own 8.
    """
    os.environ["nnUNet_n_proc_DA"] = "1"  # noqa: SIM112 - the plan sets torch's threads to it
    extract_fingerprints([number], num_processes=1, show_progress_bar=False)
    plan_experiments([number], gpu_memory_target_in_gb=memory)
    preprocess([number], PLANS, ("2d",), (1,), show_progress_bar=False)
    folder = Path(nnUNet_preprocessed) / maybe_convert_to_dataset_name(number)
    (folder / "splits_final.json").write_text(json.dumps([split]), encoding="utf-8")
    plans = load_json(str(folder / f"{PLANS}.json"))
    plans["continue_training"] = False
    dataset = load_json(str(folder / "dataset.json"))
    return nnUNetTrainer(plans, "2d", 0, dataset, torch.device("cpu"))


def probabilities(trainer: nnUNetTrainer, images: list[Path]) -> list[np.ndarray]:
    """``(label, row, col)`` of each image, at least 0.5 exactly where nnU-Net decides for the label."""
    trainer.set_deep_supervision_enabled(False)
    trainer.network.eval()
    predictor = nnUNetPredictor(use_mirroring=True, perform_everything_on_device=False,
                                device=torch.device("cpu"), allow_tqdm=False)  # fmt: skip
    predictor.manual_initialization(
        trainer.network,
        trainer.plans_manager,
        trainer.configuration_manager,
        [trainer.network.state_dict()],
        trainer.dataset_json,
        type(trainer).__name__,
        trainer.inference_allowed_mirroring_axes,
    )
    out = []
    for path in images:
        pixels, about = NaturalImage2DIO().read_images([str(path)])
        _, found = predictor.predict_single_npy_array(pixels, about, save_or_return_probabilities=True)
        maps = np.asarray(found, np.float32)[:, 0]
        if not trainer.label_manager.has_regions:  # softmax: the likeliest class wins, with less than 0.5 too
            others = [np.delete(maps, i, 0).max(0) for i in range(len(maps))]
            maps = np.stack([p / np.maximum(p + q, 1e-6) for p, q in zip(maps, others, strict=True)])[1:]
        out.append(maps)
    return out


def main(path: Path, out: Path) -> None:
    task: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    torch.set_num_threads(task["threads"])
    torch.manual_seed(task["seed"])
    random.seed(task["seed"])
    np.random.seed(task["seed"])  # noqa: NPY002 - nnU-Net draws from it
    out.mkdir(parents=True, exist_ok=True)
    tests = [one for one in task["images"] if one["part"] == "test"]
    trainer = prepare(1, task["split"], memory=task.get("memory"))
    told: dict[str, Any] = train_for(trainer, minutes=task["minutes"])
    raw = Path(nnUNet_raw) / maybe_convert_to_dataset_name(1) / "imagesTs"
    maps = probabilities(trainer, [raw / f"{one['file']}_0000.png" for one in tests])
    for one, found in zip(tests, maps, strict=True):
        np.save(out / f"{one['file']}.npy", found.astype(np.float16))
    (out / "answers.json").write_text(json.dumps({one["id"]: {} for one in tests}), encoding="utf-8")
    told["patch"] = list(trainer.configuration_manager.patch_size)
    (out / "done.json").write_text(json.dumps(told), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
