"""The machine and the choice (floor 4): configuration, workloads, evaluation, exploration, command line.

The only floor that imports all the others.
"""
