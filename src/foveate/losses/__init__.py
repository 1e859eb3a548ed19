"""Losses: one equation per function, averaged over the truth that is known and nothing else.

A term is a function ``term(outputs, batch, *, ...)`` that returns one scalar. `functools.partial` fixes its settings,
and `weigh.Weigh` adds named terms. Truth that is unknown never changes a loss or its gradient. If nothing at all is
known, a term is exactly 0 but still part of the graph, so that ``backward`` and distributed training go on.
"""
