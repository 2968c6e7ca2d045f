// Yosys techmap: every addition and subtraction becomes one $alu, that is one carry chain, before Yosys merges sums.
//
// Left alone, Yosys gathers a product and the sums around it into one $macc and builds a compressor tree of LUTs for it,
// with the sign bits of every partial product repeated up to the width of the sum. How much it gathers depends on how
// the sum is spelled; one chain an operator does not, and costs one LUT a bit.

`default_nettype none

(* techmap_celltype = "$add $sub" *)
module _80_carry_add (A, B, Y);
  parameter A_SIGNED = 0;
  parameter B_SIGNED = 0;
  parameter A_WIDTH = 1;
  parameter B_WIDTH = 1;
  parameter Y_WIDTH = 1;
  parameter _TECHMAP_CELLTYPE_ = "";

  localparam SUBTRACT = _TECHMAP_CELLTYPE_ == "$sub";

  input wire [A_WIDTH-1:0] A;
  input wire [B_WIDTH-1:0] B;
  output wire [Y_WIDTH-1:0] Y;

  wire [Y_WIDTH-1:0] x_unused, co_unused;
  \$alu #(
    .A_SIGNED(A_SIGNED && B_SIGNED), .B_SIGNED(A_SIGNED && B_SIGNED),  // Yosys: signed only when both are
    .A_WIDTH(A_WIDTH), .B_WIDTH(B_WIDTH), .Y_WIDTH(Y_WIDTH)
  ) _TECHMAP_REPLACE_ (.A(A), .B(B), .BI(SUBTRACT), .CI(SUBTRACT), .X(x_unused), .CO(co_unused), .Y(Y));
endmodule
