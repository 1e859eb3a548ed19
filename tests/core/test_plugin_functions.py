"""Functions of a package are listed from their source: what can be trained by, and without importing torch."""

import ast
import subprocess
import sys
from importlib import import_module

from foveate.core import plugins


def test_each_loss_is_a_function_with_a_line() -> None:
    found = plugins.losses()
    assert {"cross_entropy", "bce", "focal", "dice", "jaccard", "tversky", "joint_dice", "guidance"} <= set(found)
    assert not {"overlap_sums", "presence", "full", "total"} & set(found)
    every = {}
    for name in plugins.names("losses"):
        every |= vars(import_module(f"foveate.losses.{name}"))
    for name, line in found.items():
        assert line
        assert (every[name].__doc__ or "").startswith(line)


def test_losses_are_listed_without_torch() -> None:
    code = "import sys; from foveate.core import plugins; print([*plugins.losses()], 'torch' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split("] ")
    assert "dice" in ast.literal_eval(told[0] + "]")
    assert told[1].strip() == "False"
