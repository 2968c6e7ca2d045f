"""Whole checkpoints: read tensor by tensor, quantised or copied into another file, resumed after an interruption."""
