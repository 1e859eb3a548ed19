"""foveate predicts what is in retinal images and where, each answer guiding the other."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "LabelSchema": "foveate.core.labels",
    "Manifest": "foveate.data.manifest",
    "Predictor": "foveate.inference.predictor",
    "Question": "foveate.core.labels",
    "calibrate": "foveate.engine.calibrate",
    "check": "foveate.data.check",
    "consensus": "foveate.data.consensus:settle",
    "crop": "foveate.data.crop",
    "evaluate": "foveate.engine.evaluate",
    "export": "foveate.data.exchange",
    "fit": "foveate.engine.fit",
    "fit_folds": "foveate.engine.folds",
    "load_recipe": "foveate.recipes",
    "load_run": "foveate.recipes",
    "load_study": "foveate.studies",
    "merge": "foveate.data.merge",
    "plan_recipe": "foveate.recipes",
    "predict_all": "foveate.inference.predict_files",
    "report": "foveate.report",
    "run_study": "foveate.studies",
    "scan": "foveate.data.adapters",
    "split": "foveate.data.split",
    "synthetic": "foveate.data.synthetic",
    "write_report": "foveate.reporting.pages",
}
"""Public name -> its module, and its name there after a colon if it is another; a module's own name is the module."""

__all__ = [
    "LabelSchema",
    "Manifest",
    "Predictor",
    "Question",
    "calibrate",
    "check",
    "consensus",
    "crop",
    "evaluate",
    "export",
    "fit",
    "fit_folds",
    "load_recipe",
    "load_run",
    "load_study",
    "merge",
    "plan_recipe",
    "predict_all",
    "report",
    "run_study",
    "scan",
    "split",
    "synthetic",
    "write_report",
]

if TYPE_CHECKING:
    from foveate import report
    from foveate.core.labels import LabelSchema, Question
    from foveate.data import synthetic
    from foveate.data.adapters import scan
    from foveate.data.check import check
    from foveate.data.consensus import settle as consensus
    from foveate.data.crop import crop
    from foveate.data.exchange import export
    from foveate.data.manifest import Manifest
    from foveate.data.merge import merge
    from foveate.data.split import split
    from foveate.engine.calibrate import calibrate
    from foveate.engine.evaluate import evaluate
    from foveate.engine.fit import fit
    from foveate.engine.folds import fit_folds
    from foveate.inference.predict_files import predict_all
    from foveate.inference.predictor import Predictor
    from foveate.recipes import load_recipe, load_run, plan_recipe
    from foveate.reporting.pages import write_report
    from foveate.studies import load_study, run_study


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'foveate' has no attribute {name!r}")
    home, _, inside = _HOMES[name].partition(":")
    module = import_module(home)
    if home.rpartition(".")[2] == name and not hasattr(module, name):
        return module
    return getattr(module, inside or name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
