"""Workloads (floor 4): networks as the list of matrix products that an accelerator has to run."""
