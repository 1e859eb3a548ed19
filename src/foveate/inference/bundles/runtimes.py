"""Runtimes that call the graph of a bundle: onnxruntime and OpenVINO, on the CPU. Needs no PyTorch."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

Call = Callable[[np.ndarray, Sequence[str]], list[np.ndarray]]
"""(images ``(b, c, h, w)`` float32, names of outputs) -> these outputs."""

PRECISIONS: Mapping[str, tuple[str, ...]] = {"onnx": ("fp32",), "openvino": ("fp32", "bf16")}
"""Runtime -> its precisions."""


def open_graph(model: Path, *, runtime: str, precision: str, threads: int | None) -> Call:
    """Open a graph for one runtime.

    Args:
        model: ONNX file.
        runtime: a key of `PRECISIONS`.
        precision: one that it has.
        threads: None = one per processor that this process may use.

    Raises:
        ValueError: an unknown runtime or precision, a runtime that is not installed, or one that lacks an operator.
    """
    if runtime not in PRECISIONS:
        raise ValueError(f"runtime must be one of {list(PRECISIONS)} for a bundle, got {runtime!r}")
    if precision not in PRECISIONS[runtime]:
        there = list(PRECISIONS[runtime])
        raise ValueError(f"precision of runtime {runtime!r} must be one of {there}, got {precision!r}")
    if threads is not None and threads < 1:
        raise ValueError(f"threads must be 1 or more, got {threads}")
    several = threads or _processors()
    return _onnx(model, several) if runtime == "onnx" else _openvino(model, precision, several)


def _processors() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _onnx(model: Path, threads: int) -> Call:
    try:
        import onnxruntime
    except ImportError as error:
        raise ValueError("runtime 'onnx' is not installed; install it: pip install 'foveate[onnx]'") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own kinds derive from Exception alone
        raise _unable("onnxruntime", onnxruntime.__version__, model, error) from error
    run = onnxruntime.RunOptions()
    run.only_execute_path_to_fetches = True  # maps are computed only if they are asked for

    def call(image: np.ndarray, names: Sequence[str]) -> list[np.ndarray]:
        found: list[np.ndarray] = session.run(list(names), {"image": image}, run)
        return found

    return call


def _openvino(model: Path, precision: str, threads: int) -> Call:
    try:
        import openvino
    except ImportError as error:
        raise ValueError("runtime 'openvino' is not installed; install it: pip install 'foveate[openvino]'") from error
    # Without a hint OpenVINO chooses bf16 by itself on processors that have it, up to 2e-2 off.
    hint = openvino.Type.f32 if precision == "fp32" else openvino.Type.bf16
    try:
        core: Any = openvino.Core()
        compiled = core.compile_model(
            str(model), "CPU", {"INFERENCE_PRECISION_HINT": hint, "INFERENCE_NUM_THREADS": threads}
        )
    except Exception as error:  # of OpenVINO's own kind
        raise _unable("openvino", openvino.__version__, model, error) from error

    def call(image: np.ndarray, names: Sequence[str]) -> list[np.ndarray]:
        found = compiled({"image": image})
        return [np.array(found[name]) for name in names]

    return call


def _unable(name: str, version: str, model: Path, error: Exception) -> ValueError:
    reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return ValueError(f"{model}: {name} {version} cannot run this graph ({reason[:300]}); update {name}")
