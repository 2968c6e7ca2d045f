"""Runnable, commented example configurations (floor 4), shipped as YAML next to this file."""
