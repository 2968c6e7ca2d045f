// Code of the power of two to which a number rounds: its sign, and its exponent clipped to the field.
`default_nettype none
module dm_encode_log #(
    parameter SIGNIFICAND_BITS = 24,       // width of the number's significand
    parameter EXPONENT_BITS    = 10,       // signed width of its exponent
    parameter FIELD_BITS       = 7,        // width of the exponent field
    parameter SMALLEST_FIELD   = 1,        // field of the smallest power of two; below it, fields hold zero
    parameter ROOT             = 11863283, // floor(sqrt(2) * 2^(SIGNIFICAND_BITS-1)): above it the next power is nearer
    parameter ROUNDING         = 0         // as in dm_round_significand, but there are no ties
) (
    input  wire                            negative,
    input  wire [SIGNIFICAND_BITS-1:0]     significand, // top bit set, but for what is too small for any field
    input  wire signed [EXPONENT_BITS-1:0] exponent,    // of the top bit; 0: that of field 0
    output wire [FIELD_BITS:0]             code
);
    localparam LARGEST_FIELD = (1 << FIELD_BITS) - 1;
    localparam TOTAL_BITS    = EXPONENT_BITS > FIELD_BITS ? EXPONENT_BITS + 1 : FIELD_BITS + 2; // a step up and a sign

    wire up = ROUNDING == 3 ? 1'b0
            : ROUNDING == 4 ? negative & |significand[SIGNIFICAND_BITS-2:0]
            : significand > ROOT[SIGNIFICAND_BITS-1:0];
    wire signed [TOTAL_BITS-1:0] total =
        {{(TOTAL_BITS-EXPONENT_BITS+1){exponent[EXPONENT_BITS-1]}}, exponent[EXPONENT_BITS-2:0]} + {{(TOTAL_BITS-1){1'b0}}, up};

    // Rounded toward minus infinity, what is below zero stays there.
    wire                   stays = ROUNDING == 4 && negative && |significand;
    wire [FIELD_BITS-1:0]  least = stays ? SMALLEST_FIELD[FIELD_BITS-1:0] : {FIELD_BITS{1'b0}};
    wire                   too_small = ~significand[SIGNIFICAND_BITS-1] || total < $signed({{(TOTAL_BITS-FIELD_BITS){1'b0}}, least});
    wire                   too_large = total > LARGEST_FIELD;
    assign code = {negative, too_small ? least : too_large ? {FIELD_BITS{1'b1}} : total[FIELD_BITS-1:0]};
endmodule
`default_nettype wire
