"""Measured results (floor 2): content-addressed records, shipped with the package or made on the spot.

record.py        what is kept of one synthesis, or of one circuit's energy
store.py         the committed files records.jsonl and energy.jsonl, and the user's cache
grid.py          the units that are synthesised so that a model can speak for the others, and converters: grid.yaml
characterize.py  a record, from these two or from a synthesis
"""
