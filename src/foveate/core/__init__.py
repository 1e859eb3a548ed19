"""The nouns of the house: what a label, a row, a batch, a network's output and a prediction are."""
