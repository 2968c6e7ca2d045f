"""The circuit (floor 1): Verilog of a multiply-accumulate unit, its simulation, synthesis and proof.

Every width comes from `densimeter.formats.datapath`. Imports only `densimeter.formats`; it never imports its
sibling `densimeter.kernels`, so that their agreement is evidence.
"""
