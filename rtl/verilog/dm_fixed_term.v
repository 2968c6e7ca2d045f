// Shifts the sum of a group to the weight of a fixed-point register, truncating toward minus infinity.
`default_nettype none
module dm_fixed_term #(
    parameter SUM_BITS         = 15,   // signed width of the sum of a group
    parameter CODE_BITS        = 9,    // width of the exponent code of the sum
    parameter SHIFT_OFFSET     = -230, // the sum is shifted left by code + SHIFT_OFFSET places, right where negative
    parameter ACCUMULATOR_BITS = 48    // width of the register
) (
    input  wire signed [SUM_BITS-1:0]       sum,
    input  wire [CODE_BITS-1:0]             exponent_code,
    output wire signed [ACCUMULATOR_BITS:0] term,        // a bit more than the register, which can bring it back into range
    output wire                             out_of_reach // the term is longer than that and meaningless
);
    // Right shifts are left shifts into a wider word with FRACTION bits below the register's lowest; a shift by more
    // than that leaves only the sign, as a shift by SUM_BITS-1 does.
    localparam FRACTION = SHIFT_OFFSET >= 0 ? 0 : -SHIFT_OFFSET < SUM_BITS ? -SHIFT_OFFSET : SUM_BITS - 1;
    // Shifted further left than this, any sum but zero is beyond the reach of the register: |t| >= 2^ACCUMULATOR_BITS.
    localparam SHIFT_MAX  = FRACTION + ACCUMULATOR_BITS - 1;
    localparam SHIFT_BITS = $clog2(SHIFT_MAX + 1);
    localparam WIDE_BITS  = SUM_BITS + SHIFT_MAX;
    // Codes below LOWEST_CODE count as it, which leaves a distance of 0. Clamping them ahead of the subtraction keeps
    // logic out of the way between its carry chain and the shifter.
    localparam OFFSET      = SHIFT_OFFSET + FRACTION;
    localparam LOWEST_CODE = OFFSET < 0 ? -OFFSET : 0;
    localparam OFFSET_SIZE = OFFSET < 0 ? -OFFSET : OFFSET;
    localparam TOTAL_BITS  = $clog2(OFFSET_SIZE + (1 << CODE_BITS) + SHIFT_MAX) + 1;

    wire [TOTAL_BITS-1:0] wide_code = {{(TOTAL_BITS-CODE_BITS){1'b0}}, exponent_code};
    wire [TOTAL_BITS-1:0] code      = wide_code > LOWEST_CODE[TOTAL_BITS-1:0] ? wide_code : LOWEST_CODE[TOTAL_BITS-1:0];
    wire [TOTAL_BITS-1:0] shift     = OFFSET[TOTAL_BITS-1:0] + code;
    wire [SHIFT_BITS-1:0] distance  = shift[SHIFT_BITS-1:0];
    wire                  too_far   = shift > SHIFT_MAX[TOTAL_BITS-1:0];

    wire signed [WIDE_BITS-1:0] wide    = {{SHIFT_MAX{sum[SUM_BITS-1]}}, sum};
    wire signed [WIDE_BITS-1:0] shifted = wide <<< distance;
    wire unused = &shifted; // its places below the register's lowest

    assign term = shifted[FRACTION +: ACCUMULATOR_BITS + 1];
    assign out_of_reach = (too_far && sum != 0)
        || shifted[WIDE_BITS-1:FRACTION+ACCUMULATOR_BITS] != {(SUM_BITS-1){sum[SUM_BITS-1]}};
endmodule
`default_nettype wire
