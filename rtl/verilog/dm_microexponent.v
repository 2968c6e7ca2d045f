// How near a number is to the top of its block, which decides the microexponent of its part: 0 from the largest
// microexponent on, one more for each binade above.
`default_nettype none
module dm_microexponent #(
    parameter EXPONENT_BITS = 10, // signed width of the number's exponent
    parameter OFFSET        = 1,  // what turns that exponent into the result
    parameter BITS          = 1   // width of a microexponent
) (
    input  wire                            counts,   // 0: the number is zero, or too small to have been normalised
    input  wire signed [EXPONENT_BITS-1:0] exponent, // of its leading one
    output wire [BITS-1:0]                 nearness  // the largest microexponent less its own
);
    localparam OFFSET_SIZE = OFFSET < 0 ? -OFFSET : OFFSET;
    localparam ROOM        = $clog2(OFFSET_SIZE + (1 << BITS)) + 1;
    localparam TOTAL_BITS  = (EXPONENT_BITS > ROOM ? EXPONENT_BITS : ROOM) + 1; // every sum and a sign

    wire [TOTAL_BITS-1:0] total =
        {{(TOTAL_BITS-EXPONENT_BITS){exponent[EXPONENT_BITS-1]}}, exponent} + OFFSET[TOTAL_BITS-1:0];
    wire below = total[TOTAL_BITS-1];
    wire above = |total[TOTAL_BITS-2:BITS];
    assign nearness = (total[BITS-1:0] | {BITS{above}}) & {BITS{counts & ~below}};
endmodule
`default_nettype wire
