"""Parts of ``benchmarks/peers.py``: plan, frames, trainings of ours and of the peers, counts, intervals, page."""
