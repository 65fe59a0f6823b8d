"""Datasets: rendered on the spot or read from files, all with one contract."""
