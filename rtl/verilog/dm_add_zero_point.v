// Code of an affine integer: steps from zero plus the zero point, clamped to the codes that there are.
`default_nettype none
module dm_add_zero_point #(
    parameter STEP_BITS = 4, // width of the steps' magnitude
    parameter ZERO_BITS = 4, // width of the zero point
    parameter BITS      = 4  // width of the code
) (
    input  wire [STEP_BITS:0]   steps, // sign and magnitude
    input  wire [ZERO_BITS-1:0] zero,
    output wire [BITS-1:0]      code
);
    localparam WIDER    = STEP_BITS > ZERO_BITS ? STEP_BITS : ZERO_BITS;
    localparam SUM_BITS = (WIDER > BITS ? WIDER : BITS) + 2; // a carry and a sign

    // The appended low bit turns the sign into the carry of one adder: zero + (magnitude ^ sign) + sign.
    wire                negative = steps[STEP_BITS];
    wire [SUM_BITS-1:0] wide     = {{(SUM_BITS-STEP_BITS){1'b0}}, steps[STEP_BITS-1:0]} ^ {SUM_BITS{negative}};
    wire [SUM_BITS-1:0] sum;
    wire                unused;
    assign {sum, unused} = {{(SUM_BITS-ZERO_BITS){1'b0}}, zero, 1'b1} + {wide, negative};

    wire below = sum[SUM_BITS-1];
    wire above = |sum[SUM_BITS-2:BITS];
    assign code = (sum[BITS-1:0] | {BITS{above}}) & {BITS{~below}};
endmodule
`default_nettype wire
