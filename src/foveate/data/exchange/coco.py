"""COCO JSON: labels as categories, each connected piece an annotation with lossless run lengths or outlines."""

from foveate.data.exchange._coco_read import read
from foveate.data.exchange._coco_write import write

__all__ = ["read", "write"]
