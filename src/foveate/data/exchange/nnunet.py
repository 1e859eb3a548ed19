"""nnU-Net v2's raw data sets: index masks with an ignore label or regions, one folder a data set."""

from foveate.data.exchange._nnunet_read import read
from foveate.data.exchange._nnunet_write import write

__all__ = ["read", "write"]
