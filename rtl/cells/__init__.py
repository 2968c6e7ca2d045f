"""Netlists in standard cells: what a Liberty library says of its cells, and what a netlist of them draws and when."""
