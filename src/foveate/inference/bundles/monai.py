"""``configs/metadata.json``: what a bundle is, in the form of MONAI bundles, for other programs."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from foveate.inference.bundles.folder import Bundle

SCHEMA = "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/meta_schema_20240725.json"


def metadata(bundle: Bundle) -> dict[str, Any]:
    """The metadata of a bundle."""
    rows, cols = bundle.prepare.shape
    schema = bundle.schema
    colour = {0: "luminance"} if bundle.channels == 1 else {0: "red", 1: "green", 2: "blue"}
    image = _planes(bundle.channels, (rows, cols), {str(k): v for k, v in colour.items()}, [0, 1])
    pixels = (["background"] if schema.exclusive else []) + list(schema.labels)
    outputs: dict[str, Any] = {}
    for name in bundle.outputs:
        if name == "pixel_logits":
            outputs[name] = _planes(len(pixels), (rows, cols), {str(i): v for i, v in enumerate(pixels)}, None)
        elif name == "image_logits":
            named = [q.name if q.yes_no else f"{q.name}={a}" for q in schema.questions for a in q.answers]
            seen = list(dict.fromkeys(named))
            outputs[name] = {
                "type": "probabilities",
                "format": "classes",
                "num_channels": schema.image_channels,
                "spatial_shape": [],
                "dtype": "float32",
                "value_range": [],
                "is_patch_data": False,
                "channel_def": {str(i): v for i, v in enumerate(seen)},
            }
    return {
        "schema": SCHEMA,
        "version": "1.0.0",
        "changelog": {"1.0.0": f"written by foveate {version('foveate')}"},
        "monai_version": "1.5.0",
        "pytorch_version": version("torch"),
        "numpy_version": version("numpy"),
        "required_packages_version": {"onnxruntime": "1.18"},
        "name": bundle.about["recipe"],
        "task": "classification and segmentation of retinal images",
        "description": f"Recipe {bundle.about['recipe']} of foveate as ONNX; the outputs are logits (bundle.json)",
        "authors": "not known",
        "copyright": "not known",
        "intended_use": "research; not a medical device",
        "network_data_format": {"inputs": {"image": image}, "outputs": outputs},
    }


def _planes(channels: int, shape: tuple[int, int], names: dict[str, str], limits: list[int] | None) -> dict[str, Any]:
    return {
        "type": "image",
        "format": "magnitude" if limits else "segmentation",
        "num_channels": channels,
        "spatial_shape": list(shape),
        "dtype": "float32",
        "value_range": limits or [],
        "is_patch_data": False,
        "channel_def": names,
    }
