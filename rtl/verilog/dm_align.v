// Shifts a magnitude left by the sum of two exponents, to fixed point.
`default_nettype none
module dm_align #(
    parameter MAGNITUDE_BITS  = 10, // width of the magnitude
    parameter A_EXPONENT_BITS = 1,  // width of the first exponent
    parameter B_EXPONENT_BITS = 1,  // width of the second exponent
    parameter ALIGNED_BITS    = 10  // width that no shifted magnitude overflows
) (
    input  wire [MAGNITUDE_BITS-1:0]  magnitude,
    input  wire [A_EXPONENT_BITS-1:0] a_exponent,
    input  wire [B_EXPONENT_BITS-1:0] b_exponent,
    output wire [ALIGNED_BITS-1:0]    aligned
);
    // One bit more than the wider exponent holds any sum of two.
    localparam SHIFT_BITS = (A_EXPONENT_BITS > B_EXPONENT_BITS ? A_EXPONENT_BITS : B_EXPONENT_BITS) + 1;
    wire [SHIFT_BITS-1:0] shift =
        {{(SHIFT_BITS-A_EXPONENT_BITS){1'b0}}, a_exponent} + {{(SHIFT_BITS-B_EXPONENT_BITS){1'b0}}, b_exponent};
    wire [MAGNITUDE_BITS-1:0] unused;
    assign {unused, aligned} = {{ALIGNED_BITS{1'b0}}, magnitude} << shift;
endmodule
`default_nettype wire
