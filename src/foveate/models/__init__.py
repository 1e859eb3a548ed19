"""Networks: ``forward(image, prior=None) -> Outputs``, logits only; a network never reads the ground truth."""
