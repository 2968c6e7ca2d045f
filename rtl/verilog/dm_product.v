// Product of two magnitudes as a fixed-point integer: the significands are multiplied, then shifted by their exponents.
`default_nettype none
module dm_product #(
    parameter A_BITS          = 5,  // width of the first significand; the wider one makes the fewer multiplier rows
    parameter B_BITS          = 5,  // width of the second significand
    parameter A_EXPONENT_BITS = 1,  // width of the first exponent
    parameter B_EXPONENT_BITS = 1,  // width of the second exponent
    parameter DROP            = 0,  // shifted products lose this many low bits: zeros, or what lies below the window
    parameter PRODUCT_BITS    = 10  // width of the largest product that remains
) (
    input  wire [A_BITS-1:0]          a,
    input  wire [B_BITS-1:0]          b,
    input  wire [A_EXPONENT_BITS-1:0] a_exponent,
    input  wire [B_EXPONENT_BITS-1:0] b_exponent,
    output wire [PRODUCT_BITS-1:0]    magnitude
);
    // One bit more than the wider exponent holds any sum of two.
    localparam SHIFT_BITS = (A_EXPONENT_BITS > B_EXPONENT_BITS ? A_EXPONENT_BITS : B_EXPONENT_BITS) + 1;
    // Every bit above the largest product is zero, so no more need be computed.
    localparam WIDE_BITS = PRODUCT_BITS + DROP;

    wire [A_BITS+B_BITS-1:0] significand = a * b;
    wire [SHIFT_BITS-1:0]    shift       = a_exponent + b_exponent;
    wire [WIDE_BITS-1:0]     wide        = {{WIDE_BITS{1'b0}}, significand} << shift;

    assign magnitude = wide[WIDE_BITS-1:DROP];
endmodule
`default_nettype wire
