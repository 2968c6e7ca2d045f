// Yosys techmap: a multiplier becomes rows of adders on carry chains (RADIX 2 or 4), or, where both operands together
// have at most six bits, one LUT for each bit of the product.
//
// RADIX 2, one row for each bit of the narrower operand `y`:
//     sum[i] = (sum[i-1] >> 1) + (y[i] ? x : 0)                the bit shifted out is bit i-1 of the product
// RADIX 4, one row for each two bits, recoded after Booth into a digit d in -2..2:
//     sum[i] = (sum[i-1] >> 2) + d[i] * x                      a negative d*x is ~(|d|*x) with the chain's carry-in set
// A slice of a 7-series chain takes one operand straight and a six-input LUT: `sum` is the straight one, and the LUT
// holds the choice of the multiple of x (2 inputs, or 5) as well as the exclusive or of the addition. So a row costs one
// LUT a bit: about n*m LUTs in radix 2, n*m/2 in radix 4. The circuit of radix 4 is that of E. G. Walters, "Array
// Multipliers for High Throughput in Xilinx FPGAs with 6-Input LUTs", Computers 5(4):20, 2016, which reports 42 to 52 %
// fewer LUTs than the vendor's multipliers; radix 2 is therefore near those.

`default_nettype none

(* techmap_celltype = "$mul" *)
module _80_carry_multiply (A, B, Y);
  parameter A_SIGNED = 0;
  parameter B_SIGNED = 0;
  parameter A_WIDTH = 1;
  parameter B_WIDTH = 1;
  parameter Y_WIDTH = 1;
  parameter _TECHMAP_CONSTMSK_A_ = 0;
  parameter _TECHMAP_CONSTVAL_A_ = 0;
  parameter _TECHMAP_CONSTMSK_B_ = 0;
  parameter _TECHMAP_CONSTVAL_B_ = 0;

  input wire [A_WIDTH-1:0] A;
  input wire [B_WIDTH-1:0] B;
  output wire [Y_WIDTH-1:0] Y;

  // Yosys multiplies signed only when both operands are. {1'b0, a} made signed, to go with a signed operand, is unsigned.
  localparam SIGNED = A_SIGNED && B_SIGNED;
  localparam A_PADDED = SIGNED && A_WIDTH > 1 && _TECHMAP_CONSTMSK_A_[A_WIDTH-1] && !_TECHMAP_CONSTVAL_A_[A_WIDTH-1];
  localparam B_PADDED = SIGNED && B_WIDTH > 1 && _TECHMAP_CONSTMSK_B_[B_WIDTH-1] && !_TECHMAP_CONSTVAL_B_[B_WIDTH-1];
  // An operand's bits above the product's cannot change it; nor can its sign, unless the product is wider.
  localparam A_NEGATIVE = SIGNED && !A_PADDED && A_WIDTH < Y_WIDTH;
  localparam B_NEGATIVE = SIGNED && !B_PADDED && B_WIDTH < Y_WIDTH;
  localparam A_BITS = A_WIDTH - A_PADDED < Y_WIDTH ? A_WIDTH - A_PADDED : Y_WIDTH;
  localparam B_BITS = B_WIDTH - B_PADDED < Y_WIDTH ? B_WIDTH - B_PADDED : Y_WIDTH;

  // LUTs of the radix-4 rows when the digits come from B, and from A: digits times bits of a multiple.
  localparam DIGITS_OF_B = B_NEGATIVE ? (B_BITS + 1) / 2 : B_BITS / 2 + 1;
  localparam DIGITS_OF_A = A_NEGATIVE ? (A_BITS + 1) / 2 : A_BITS / 2 + 1;
  localparam LUTS_B = DIGITS_OF_B * (A_BITS + !A_NEGATIVE + 1);
  localparam LUTS_A = DIGITS_OF_A * (B_BITS + !B_NEGATIVE + 1);
  localparam RADIX4 = `RADIX == 4 && (LUTS_A < A_BITS * B_BITS || LUTS_B < A_BITS * B_BITS);
  localparam SWAP = RADIX4 ? LUTS_A < LUTS_B : A_BITS < B_BITS;

  localparam X_BITS = SWAP ? B_BITS : A_BITS;
  localparam Y_BITS = SWAP ? A_BITS : B_BITS;
  localparam X_NEGATIVE = SWAP ? B_NEGATIVE : A_NEGATIVE;
  localparam Y_NEGATIVE = SWAP ? A_NEGATIVE : B_NEGATIVE;
  wire [X_BITS-1:0] x = SWAP ? B : A;
  wire [Y_BITS-1:0] y = SWAP ? A : B;

  localparam P_BITS = X_BITS + Y_BITS < Y_WIDTH ? X_BITS + Y_BITS : Y_WIDTH;
  wire [P_BITS-1:0] product;
  wire sign = (X_NEGATIVE || Y_NEGATIVE) && product[P_BITS-1];
  assign Y = {{(Y_WIDTH){sign}}, product};

  // Bit `place` of the product for every value of {y, x}.
  function [63:0] truth_table(input integer place);
    integer code, value;
    for (code = 0; code < 64; code = code + 1) begin
      value = (code % (1 << X_BITS) - (X_NEGATIVE && code[X_BITS-1]) * (1 << X_BITS))
        * (code / (1 << X_BITS) % (1 << Y_BITS) - (Y_NEGATIVE && code[X_BITS+Y_BITS-1]) * (1 << Y_BITS));
      truth_table[code] = value[place];
    end
  endfunction

  genvar i;
  generate
    if (X_BITS + Y_BITS <= 6) begin : table
      for (i = 0; i < P_BITS; i = i + 1) begin : place
        \$lut #(.WIDTH(X_BITS + Y_BITS), .LUT(truth_table(i))) lut (.A({y, x}), .Y(product[i]));
      end
    end else if (RADIX4) begin : radix4
      localparam DIGITS = SWAP ? DIGITS_OF_A : DIGITS_OF_B;
      localparam ROWS = DIGITS < (P_BITS + 1) / 2 ? DIGITS : (P_BITS + 1) / 2;
      localparam M_BITS = X_BITS + !X_NEGATIVE;  // x as a two's complement number
      wire [M_BITS-1:0] multiplicand = x;
      wire [2*DIGITS:0] recoded = {{(2*DIGITS){Y_NEGATIVE && y[Y_BITS-1]}}, y, 1'b0};
      for (i = 0; i < ROWS; i = i + 1) begin : row
        localparam BITS = M_BITS + 2 < P_BITS - 2*i ? M_BITS + 2 : P_BITS - 2*i;
        wire negate = recoded[2*i+2];
        wire one = recoded[2*i+1] ^ recoded[2*i];
        wire two = recoded[2*i+1] == recoded[2*i] && negate != recoded[2*i];
        wire [M_BITS:0] magnitude = {multiplicand[M_BITS-1], multiplicand} & {(M_BITS+1){one}}
          | {multiplicand, 1'b0} & {(M_BITS+1){two}};
        wire [M_BITS:0] multiple = magnitude ^ {(M_BITS+1){negate}};
        wire [M_BITS+1:0] addend = {multiple[M_BITS], multiple};
        wire [M_BITS+1:0] above, sum;
        wire [BITS-1:0] x_unused, co_unused;
        if (i == 0) assign above = 0;
        else assign above = {{2{row[i-1].sum[M_BITS+1]}}, row[i-1].sum[M_BITS+1:2]};
        \$alu #(.A_SIGNED(0), .B_SIGNED(0), .A_WIDTH(BITS), .B_WIDTH(BITS), .Y_WIDTH(BITS))
          adder (.A(above[BITS-1:0]), .B(addend[BITS-1:0]), .BI(1'b0), .CI(negate),
            .X(x_unused), .CO(co_unused), .Y(sum[BITS-1:0]));
        if (i == ROWS - 1) assign product[P_BITS-1:2*i] = sum;
        else assign product[2*i+1:2*i] = sum;
      end
    end else begin : radix2
      for (i = 0; i < Y_BITS; i = i + 1) begin : row
        localparam BITS = X_BITS + 1 < P_BITS - i ? X_BITS + 1 : P_BITS - i;
        localparam SUBTRACT = Y_NEGATIVE && i == Y_BITS - 1;  // the weight of the sign bit is negative
        wire [X_BITS:0] addend = {X_NEGATIVE && x[X_BITS-1], x} & {(X_BITS+1){y[i]}};
        wire [X_BITS:0] sum;
        if (i == 0 && !SUBTRACT) assign sum = addend;
        else begin : chain
          wire [X_BITS:0] above;
          wire [BITS-1:0] x_unused, co_unused;
          if (i == 0) assign above = 0;
          else assign above = {X_NEGATIVE && row[i-1].sum[X_BITS], row[i-1].sum[X_BITS:1]};
          \$alu #(.A_SIGNED(0), .B_SIGNED(0), .A_WIDTH(BITS), .B_WIDTH(BITS), .Y_WIDTH(BITS))
            adder (.A(above[BITS-1:0]), .B(addend[BITS-1:0]), .BI(SUBTRACT), .CI(SUBTRACT),
              .X(x_unused), .CO(co_unused), .Y(sum[BITS-1:0]));
        end
        if (i == Y_BITS - 1) assign product[P_BITS-1:i] = sum;
        else assign product[i] = sum[0];
      end
    end
  endgenerate
endmodule
