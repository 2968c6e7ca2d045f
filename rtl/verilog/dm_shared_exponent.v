// Code of a block's shared exponent: that of its largest magnitude, biased anew and clipped to what the code can hold.
`default_nettype none
module dm_shared_exponent #(
    parameter EXPONENT_BITS = 8,  // width of the largest magnitude's exponent
    parameter OFFSET        = -2, // what turns that exponent, or the negative of it, into a code
    parameter NEGATED       = 0,  // 1: the code falls as the exponent rises
    parameter CODE_BITS     = 8,  // width of the code
    parameter LARGEST_CODE  = 254 // the largest code that stands for an exponent
) (
    input  wire [EXPONENT_BITS-1:0] exponent, // 0: below every exponent that the code can tell from a zero's
    input  wire                     next,     // the rule takes the next exponent
    output wire [CODE_BITS-1:0]     code
);
    localparam OFFSET_SIZE = OFFSET < 0 ? -OFFSET : OFFSET;
    localparam TOTAL_BITS  = $clog2(OFFSET_SIZE + (1 << EXPONENT_BITS) + LARGEST_CODE + 1) + 1; // every step and a sign
    localparam [CODE_BITS-1:0] ZERO_CODE = NEGATED != 0 ? LARGEST_CODE[CODE_BITS-1:0] : {CODE_BITS{1'b0}};

    // OFFSET + exponent + next, or OFFSET - exponent - next = OFFSET + ~exponent + !next, on one carry chain.
    wire [TOTAL_BITS-1:0] wide = {{(TOTAL_BITS-EXPONENT_BITS){1'b0}}, exponent};
    wire [TOTAL_BITS-1:0] total;
    wire                  unused;
    assign {total, unused} = {OFFSET[TOTAL_BITS-1:0], 1'b1} + {wide ^ {TOTAL_BITS{NEGATED != 0}}, next ^ (NEGATED != 0)};

    wire below = total[TOTAL_BITS-1];
    wire above = total > LARGEST_CODE[TOTAL_BITS-1:0];
    assign code = ~|exponent ? ZERO_CODE
                : below ? {CODE_BITS{1'b0}}
                : above ? LARGEST_CODE[CODE_BITS-1:0] : total[CODE_BITS-1:0];
endmodule
`default_nettype wire
