// Rounds a normalised magnitude to nearest even and packs it into binary32 fields.
`default_nettype none
module dm_fp32_pack #(
    parameter MAGNITUDE_BITS = 28, // width of the magnitude, at least 25: 24 of significand and one to round
    parameter FIELD_BITS     = 9,  // width of `field`, at least 9
    parameter CAN_OVERFLOW   = 1   // 0: no result reaches infinity
) (
    input  wire [MAGNITUDE_BITS-1:0] magnitude, // top bit set, but for subnormals and zero
    input  wire [FIELD_BITS-1:0]     field,     // biased exponent minus one; 0 for subnormals, ignored for zero
    input  wire                      keep,      // 0: the result is zero
    output wire [7:0]                exponent,  // exponent and fraction fields; meaningless on overflow
    output wire [22:0]               fraction,
    output wire                      overflow   // the rounded magnitude is infinite
);
    wire        top    = magnitude[MAGNITUDE_BITS-1];
    wire [22:0] kept   = magnitude[MAGNITUDE_BITS-2 -: 23] & {23{keep}};
    wire        half   = magnitude[MAGNITUDE_BITS-25];
    wire        sticky = |(magnitude << 25);
    wire        up     = half & (sticky | kept[0]) & keep;

    // One carry chain rounds, carries into the exponent and adds the one that `field` lacks; its lowest bit makes `up`
    // the carry in.
    wire [FIELD_BITS-1:0] base = field & {FIELD_BITS{top & keep}};
    wire [FIELD_BITS-1:0] rounded;
    wire                  unused;
    assign {rounded, fraction, unused} = {base, kept, up} + {{(FIELD_BITS-1){1'b0}}, top & keep, {23{1'b0}}, 1'b1};

    assign exponent = rounded[7:0];
    assign overflow = CAN_OVERFLOW != 0 && rounded >= 255;
endmodule
`default_nettype wire
