"""Write a run's graph as ONNX."""

from __future__ import annotations

import warnings
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import torch

from foveate.inference.bundles.graph import Graph

OPSET = 20
"""Version of the ONNX operators: bilinear and cubic resizing as PyTorch has them, and read by every runtime of 2024."""


def export_onnx(graph: Graph, path: Path) -> None:
    """Write the graph with a dynamic number of images, its weights inside.

    Raises:
        ValueError: `torch.export` does not take one of its networks; the message has the reason.
    """
    try:
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ValueError("to write a bundle install onnxscript: pip install 'foveate[onnx]'") from error
    example = torch.rand(2, graph.channels, *graph.shape)
    quiet = StringIO()
    with warnings.catch_warnings(), redirect_stdout(quiet), redirect_stderr(quiet), torch.no_grad():
        warnings.simplefilter("ignore")  # of PyTorch's own code, about its next version
        try:
            made = torch.onnx.export(
                graph.eval(),
                (example,),
                dynamo=True,
                opset_version=OPSET,
                input_names=["image"],
                output_names=list(graph.parts.names),
                dynamic_shapes=({0: torch.export.Dim("images", min=1)},),
                external_data=False,
                verbose=False,
            )
        except Exception as error:  # the exporter raises its own kinds, of many modules
            raise ValueError(f"the run cannot be exported as ONNX: {_first(error)}") from error
    assert made is not None
    made.save(path, external_data=False)


def _first(error: BaseException) -> str:
    """The innermost reason, in one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__
