// Signed a + b or a - b on one carry chain.
`default_nettype none
module dm_add_subtract #(
    parameter A_BITS   = 8, // signed width of a
    parameter B_BITS   = 8, // signed width of b
    parameter SUM_BITS = 9  // signed width of the result, no narrower than either operand
) (
    input  wire signed [A_BITS-1:0]   a,
    input  wire signed [B_BITS-1:0]   b,
    input  wire                       subtract,
    output wire signed [SUM_BITS-1:0] sum
);
    wire [SUM_BITS-1:0] wide_a = {{(SUM_BITS-A_BITS){a[A_BITS-1]}}, a};
    wire [SUM_BITS-1:0] wide_b = {{(SUM_BITS-B_BITS){b[B_BITS-1]}}, b};
    // a - b = a + ~b + 1: the appended low bits add up to the carry.
    wire unused;
    assign {sum, unused} = {wide_a, 1'b1} + {wide_b ^ {SUM_BITS{subtract}}, subtract};
endmodule
`default_nettype wire
