"""The body of a multiply-accumulate unit: its stages as Verilog text, and the registers that may stand between them."""
