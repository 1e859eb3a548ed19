"""Parts of networks: encoders and their weights, decoders, heads."""
