"""foveate reads retinal images and says what is there and where, each answer guiding the other."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "LabelSchema": "foveate.core.labels",
    "Manifest": "foveate.data.manifest",
    "Predictor": "foveate.inference.predictor",
    "Question": "foveate.core.labels",
    "calibrate": "foveate.engine.calibrate",
    "evaluate": "foveate.engine.evaluate",
    "fit": "foveate.engine.fit",
    "fit_folds": "foveate.engine.folds",
    "load_recipe": "foveate.recipes",
    "load_run": "foveate.recipes",
    "load_study": "foveate.studies",
    "report": "foveate.report",
    "synthetic": "foveate.data.synthetic",
}
"""Public name -> the module it lives in; a module's own name is the module itself."""

__all__ = [
    "LabelSchema",
    "Manifest",
    "Predictor",
    "Question",
    "calibrate",
    "evaluate",
    "fit",
    "fit_folds",
    "load_recipe",
    "load_run",
    "load_study",
    "report",
    "synthetic",
]

if TYPE_CHECKING:
    from foveate import report
    from foveate.core.labels import LabelSchema, Question
    from foveate.data import synthetic
    from foveate.data.manifest import Manifest
    from foveate.engine.calibrate import calibrate
    from foveate.engine.evaluate import evaluate
    from foveate.engine.fit import fit
    from foveate.engine.folds import fit_folds
    from foveate.inference.predictor import Predictor
    from foveate.recipes import load_recipe, load_run
    from foveate.studies import load_study


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'foveate' has no attribute {name!r}")
    module = import_module(_HOMES[name])
    return module if _HOMES[name].rpartition(".")[2] == name and not hasattr(module, name) else getattr(module, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
