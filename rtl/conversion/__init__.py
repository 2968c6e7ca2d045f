"""Converters in Verilog: floats to block formats and back."""
