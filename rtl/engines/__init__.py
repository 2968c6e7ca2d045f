"""What runs Verilog: Icarus driven from Python or by a generated bench, and Verilator."""
