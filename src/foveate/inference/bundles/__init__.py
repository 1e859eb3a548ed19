"""Bundles: a folder with the ONNX graph of trained runs and all that a machine without PyTorch needs to use it."""
