"""Annotations in and out: manifests, Label Studio, COCO, and predictions as drafts."""
