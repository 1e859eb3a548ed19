"""What networks are made of: encoders and their weights, decoders, heads."""
