"""What a network is taught by: one equation a function, averaged over what is known and nothing else.

A term is a function ``term(outputs, batch, *, ...)`` that returns one scalar. Its settings are keywords, given with
`functools.partial`; `weigh.Weigh` adds named terms. What nobody has marked or answered never changes a loss or its
gradient, and where nothing at all is known a term is exactly 0, still hanging on the graph, so that ``backward`` and
distributed training go on.
"""
