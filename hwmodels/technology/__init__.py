"""Technology data of the machine model (floor 2): tables with unit and source, no code.

sram.csv, sram.yaml  SRAM macros as CACTI computes them, and how the runs were made
dram.yaml            memory devices
nodes.yaml           how area, energy, delay, leakage and wires scale between process nodes
measured.yaml        what real machines were measured to reach
"""
