"""Metrics of the field as pure functions of arrays and tensors, each exact to its source.

Nothing here reads files, loads networks or imports another package of the suite. Everything that
``leaderboard`` needs (``metrics.statistics``) works without torch.
"""
