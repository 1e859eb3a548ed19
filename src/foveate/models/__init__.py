"""Networks: ``forward(image, prior=None) -> Outputs``, logits only; none of them ever sees a label."""
