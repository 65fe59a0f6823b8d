"""Directions of finished discovery runs: which run, their names, pairs and edits along them."""
