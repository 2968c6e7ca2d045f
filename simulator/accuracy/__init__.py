"""Accuracy (floor 4): what formats and recipes do to a real language model on a real text."""
