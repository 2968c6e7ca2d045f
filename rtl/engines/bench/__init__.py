"""The test bench (floor 1): the cocotb model, driver, monitor and checker that `densimeter rtl test` runs on a unit.

The bench runs inside the simulator's process. `rtl.cosimulate` writes the stimulus file that `model` reads, and reads
the report that `checker` writes.
"""
