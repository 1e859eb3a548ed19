"""Commands of bundles: write one, verify one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperGroup

from foveate.cli.options import Precision, Runtime, Threads


class WriteUnlessNamed(TyperGroup):
    """``foveate bundle RUN`` is ``foveate bundle write RUN``."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Add the command's name if the first word is not one."""
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = ["write", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=WriteUnlessNamed,
    help="Write a trained run as a folder that reads images without PyTorch, and verify one. "
    "`foveate bundle RUN -o BUNDLE` is `foveate bundle write RUN -o BUNDLE`.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command()
def write(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders that `foveate fit` wrote.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="BUNDLE", help="Folder of the bundle; must be new.")],
) -> None:
    """Write a bundle: the networks as one ONNX graph, and all that is needed to read images with it.

    Several runs of one recipe become an ensemble, the mean of their probabilities.

    Example: `foveate bundle write RUN -o BUNDLE` writes the bundle of one run, or of the folder of its folds.

    Example: `foveate bundle write A/run B/run -o BUNDLE` makes one ensemble of two runs.
    """
    from foveate.inference.bundles.write import write_bundle
    from foveate.recipes import load_run

    bundle = write_bundle([load_run(run) for run in runs], out)
    typer.echo(f"{out}: {', '.join(bundle.outputs)}")
    if bundle.without_maps and bundle.schema.questions:
        typer.secho(f"warning: no activation maps: {bundle.without_maps}", fg="yellow", err=True)


@app.command()
def verify(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Folder that `foveate bundle` wrote.")],
    runtime: Runtime = None,
    precision: Precision = "fp32",
    threads: Threads = None,
) -> None:
    """Check each file of a bundle, read its drawn images, and print how far the results differ from the run's.

    The exit code is 1 if a result differs by more than rounding.

    Example: `foveate bundle verify BUNDLE` uses onnxruntime.

    Example: `foveate bundle verify BUNDLE --runtime openvino --precision bf16` measures what bf16 changes.
    """
    from foveate.inference.bundles.check import verify as compare
    from foveate.inference.predictor import Predictor

    predictor = Predictor.load(bundle, runtime=runtime, precision=precision, threads=threads)
    found = compare(bundle, predictor)
    for one in found:
        typer.echo(str(one))
    same = all(one.close for one in found)
    typer.echo(f"{bundle}: {'verified' if same else 'DIFFERS from the run'} with {predictor.backend.runtime}")
    if not same:
        raise typer.Exit(1)
