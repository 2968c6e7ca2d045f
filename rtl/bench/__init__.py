"""The test bench (floor 1): cocotb driver, monitor and checker that `densimeter rtl test` runs on a unit."""
