// Rounds a significand to fewer bits, of which the place follows from its exponent: to those below its leading one, or,
// of what is smaller than the smallest normal number, to those that are left above the smallest step.
`default_nettype none
module dm_round_significand #(
    parameter SIGNIFICAND_BITS = 24, // width of the significand
    parameter KEPT_BITS        = 4,  // significand bits of the result, its leading one included
    parameter EXPONENT_BITS    = 10, // signed width of the exponent
    parameter ROUNDING         = 0   // nearest, ties 0: to even, 1: away, 2: up; 3: toward zero; 4: toward minus infinity
) (
    input  wire                               negative,
    input  wire [SIGNIFICAND_BITS-1:0]        significand, // top bit set, but for zero and where the exponent is below 1
    input  wire signed [EXPONENT_BITS-1:0]    exponent,    // of the top bit; 0: that of the smallest normal number
    output wire [EXPONENT_BITS+KEPT_BITS-2:0] code // exponent field and fraction in one, the smallest normal field being 1
);
    localparam CODE_BITS   = EXPONENT_BITS + KEPT_BITS - 1;
    localparam PLACES_BITS = $clog2(KEPT_BITS + 1);
    localparam WIDE_BITS   = EXPONENT_BITS > PLACES_BITS ? EXPONENT_BITS : PLACES_BITS + 1;
    // What is kept, the half below it and one place more; what lies lower can only break a tie.
    localparam WORD_BITS   = KEPT_BITS + 2;
    localparam PADDED_BITS = SIGNIFICAND_BITS > WORD_BITS ? SIGNIFICAND_BITS : WORD_BITS + 1;

    wire [PADDED_BITS-1:0] padded = {{(PADDED_BITS-SIGNIFICAND_BITS){1'b0}}, significand}
                                    << (PADDED_BITS - SIGNIFICAND_BITS);
    wire [WORD_BITS-1:0]   word   = padded[PADDED_BITS-1 -: WORD_BITS];
    wire                   rest   = |padded[PADDED_BITS-WORD_BITS-1:0];

    // Below the normal numbers: shift right by -exponent = ~exponent + 1 places, the one first. More than KEPT_BITS places
    // further nothing is left to round.
    wire [WIDE_BITS-1:0]   wide   = {{(WIDE_BITS-EXPONENT_BITS+1){exponent[EXPONENT_BITS-1]}}, exponent[EXPONENT_BITS-2:0]};
    wire                   below  = exponent[EXPONENT_BITS-1];
    wire [PLACES_BITS-1:0] places = ~wide[PLACES_BITS-1:0] & {PLACES_BITS{below}};
    wire                   gone   = below & ~&wide[WIDE_BITS-1:PLACES_BITS];
    wire [WORD_BITS:0]     first  = below ? {1'b0, word} : {word, 1'b0};
    wire [WORD_BITS:0]     shifted;
    wire                   lost;
    dm_shift_right_sticky #(.BITS(WORD_BITS + 1), .SHIFT_BITS(PLACES_BITS)) denormalize (
        .value(first), .distance(places), .shifted(shifted), .lost(lost)
    );

    wire [KEPT_BITS-1:0] kept   = shifted[WORD_BITS:3] & {KEPT_BITS{~gone}};
    wire                 half   = shifted[2] & ~gone;
    wire                 sticky = (|shifted[1:0]) | lost | rest | (gone & |word);
    wire                 up     = ROUNDING == 0 ? half & (sticky | kept[0])
                                : ROUNDING == 1 ? half
                                : ROUNDING == 2 ? half & (sticky | ~negative)
                                : ROUNDING == 4 ? negative & (half | sticky) : 1'b0;

    // One carry chain rounds, carries into the field and adds the one that it lacks; its lowest bit makes `up` the carry in.
    wire                     top      = kept[KEPT_BITS-1];
    wire [EXPONENT_BITS-1:0] base     = exponent & {EXPONENT_BITS{~below & significand[SIGNIFICAND_BITS-1]}};
    wire [CODE_BITS-1:0]     one      = {{(CODE_BITS-1){1'b0}}, top} << (KEPT_BITS - 1);
    wire [CODE_BITS-1:0]     fraction = {{(CODE_BITS-KEPT_BITS){1'b0}}, kept} ^ one;
    wire [CODE_BITS-1:0]     field    = {{(CODE_BITS-EXPONENT_BITS){1'b0}}, base} << (KEPT_BITS - 1);
    wire                     unused;
    assign {code, unused} = {field | fraction, up} + {one, 1'b1};
endmodule
`default_nettype wire
