// Quotient of two significands by restoring division, a digit a step. It is between one half and two: its leading one is
// brought to the top, and what lies below its lowest bit is or-ed into that bit.
`default_nettype none
module dm_divide #(
    parameter NUMERATOR_BITS   = 24, // width of the numerator
    parameter DENOMINATOR_BITS = 24, // width of the denominator
    parameter QUOTIENT_BITS    = 9   // width of the quotient, at least 2
) (
    input  wire [NUMERATOR_BITS-1:0]   numerator,   // top bit set, or zero
    input  wire [DENOMINATOR_BITS-1:0] denominator, // top bit set; for a zero the quotient is zero
    output wire [QUOTIENT_BITS-1:0]    quotient,    // top bit set, or zero
    output wire                        below_one    // the quotient was less than one, and is shown twice as large
);
    localparam BITS = NUMERATOR_BITS > DENOMINATOR_BITS ? NUMERATOR_BITS : DENOMINATOR_BITS;

    wire [BITS:0] divisor = {{(BITS-DENOMINATOR_BITS+1){1'b0}}, denominator} << (BITS - DENOMINATOR_BITS);
    wire [BITS:0] rest [QUOTIENT_BITS:0]; // before each digit less than twice the divisor
    wire [QUOTIENT_BITS-1:0] digit;
    assign rest[0] = {{(BITS-NUMERATOR_BITS+1){1'b0}}, numerator} << (BITS - NUMERATOR_BITS);

    genvar k;
    generate
        for (k = 0; k < QUOTIENT_BITS; k = k + 1) begin : step
            wire [BITS+1:0] less = {1'b0, rest[k]} - {1'b0, divisor};
            wire            fits = ~less[BITS+1];
            assign digit[QUOTIENT_BITS-1-k] = fits;
            assign rest[k+1] = (fits ? less[BITS:0] : rest[k]) << 1;
        end
    endgenerate

    wire sticky = |rest[QUOTIENT_BITS];
    wire [QUOTIENT_BITS-1:0] brought_up = digit[QUOTIENT_BITS-1] ? {digit[QUOTIENT_BITS-1:1], digit[0] | sticky}
                                                                 : {digit[QUOTIENT_BITS-2:0], sticky};
    assign below_one = ~digit[QUOTIENT_BITS-1];
    assign quotient  = brought_up & {QUOTIENT_BITS{denominator[DENOMINATOR_BITS-1]}};
endmodule
`default_nettype wire
