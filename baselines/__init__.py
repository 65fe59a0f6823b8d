"""Methods under test: one file per method, written against the contract in ``baselines.base``."""
