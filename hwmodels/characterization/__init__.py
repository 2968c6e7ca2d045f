"""Measured synthesis and power results (floor 2), content-addressed JSON lines shipped with the package."""
